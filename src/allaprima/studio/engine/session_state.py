"""What the engine knows of a live session: what it shows, what it is to show next, and how a frame leaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from allaprima.core.picture import Picture
from allaprima.core.picture_files import encode_picture
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.live_session import LiveSession, PendingPrompt, next_step_count
from allaprima.studio.engine.messages import Frame, LiveFailed, LivePrompt, LiveUpdate
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.studio.engine.model_runner import FirstPrediction, PreparedPrompt

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ShownFrame:
    """The frame a session saw last."""

    like: Hashable
    """`prompt_key` of its prompt."""
    prepared: PreparedPrompt
    steps: int
    picture: Picture
    opening: FirstPrediction | None
    jpeg: bytes = b""


@dataclass(kw_only=True)
class SessionState:
    """One session as the engine's thread sees it.

    Attributes:
        session: its door.
        clock: the engine's.
        stats: the engine's counters.
        aim: the prompt to show and refine; None before the first and after a failure or a blank one.
        shown: its last frame.
        hungry_since: when the first prompt came since the last frame; None if none has.
        passed_over: passes that others got while it waited for one.
        asked_at: when its aim came.
        rested_at: when it got its last frame.
    """

    session: LiveSession
    clock: Callable[[], float]
    stats: Stats
    aim: LivePrompt | None = None
    shown: ShownFrame | None = None
    hungry_since: float | None = None
    passed_over: int = 0
    asked_at: float = 0.0
    rested_at: float = 0.0
    _frames: int = 0
    _overtaken: int = 0

    def take(self, asked: PendingPrompt) -> bool:
        """Make the waiting prompt the new aim, if it is still `asked`; return whether it was."""
        if not self.session.take(asked):
            return False
        self.passed_over = 0
        self.asked_at = asked.at
        self._overtaken += asked.overtaken
        self.stats.count("prompts_overtaken", asked.overtaken)
        self.stats.count("prompts", asked.overtaken + 1)
        self.hungry_since = asked.since if self.hungry_since is None else self.hungry_since
        self.aim = None if asked.prompt.blank else asked.prompt
        if self.aim is None:
            self.hungry_since = None
        return True

    def shows(self, like: Hashable, steps: int) -> bool:
        """Whether the last frame is a picture of that `prompt_key`, no finer than `steps`."""
        return self.shown is not None and self.shown.like == like and self.shown.steps <= steps

    def shows_key(self, key: Hashable, steps: int) -> bool:
        """Whether the last frame is the picture of that `PreparedPrompt.key`, no finer than `steps`."""
        return self.shown is not None and self.shown.prepared.key == key and self.shown.steps <= steps

    @property
    def next_steps(self) -> int | None:
        """How many steps its next, finer frame has; None while there is nothing to refine."""
        if self.aim is None or self.shown is None or self.session.waiting is not None or self.session.closed:
            return None
        return next_step_count(self.shown.steps, self.aim.settings.steps)

    def repeat(self, like: Hashable, prepared: PreparedPrompt | None, asked: PendingPrompt) -> None:
        """Answer the aim with the last frame, written anew if the quality differs."""
        aim, shown = self.aim, self.shown
        assert aim is not None
        assert shown is not None
        shown.like = like
        shown.prepared = replace(shown.prepared if prepared is None else prepared, prompt=aim)
        request = aim.settings.request(aim.prompt, shown.steps)
        if request != shown.picture.request:
            shown.picture = replace(shown.picture, request=request)
            shown.jpeg = encode_picture(shown.picture, "jpeg")
        self.stats.count("frames_repeated")
        self._send_frame({}, asked, repeated=True)

    def show(self, shown: ShownFrame, timings_ms: Mapping[str, float], asked: PendingPrompt | None) -> None:
        """Send a new frame, the first one for `asked` if it is that; `shown.jpeg` is filled in here."""
        started = time.perf_counter()
        shown.jpeg = encode_picture(shown.picture, "jpeg")
        self.shown = shown
        encode_ms = 1e3 * (time.perf_counter() - started)
        self._send_frame({**timings_ms, "encode": encode_ms}, asked, repeated=False)

    def overtake(self) -> None:
        """Note that a prompt under way was dropped unseen."""
        self._overtaken += 1
        self.stats.count("prompts_overtaken")

    def fail(self, prompt: LivePrompt, trouble: Failure) -> None:
        """Tell the session that `prompt` cannot be painted, and stop trying."""
        message, number = trouble.explain()
        self.stats.count("failures")
        if self.aim is prompt:
            self.aim = None
        self.hungry_since = None
        self._send(LiveFailed(sequence=prompt.sequence, message=message, id=number))

    def _send_frame(
        self, timings_ms: Mapping[str, float], asked: PendingPrompt | None, *, repeated: bool
    ) -> None:
        shown, now = self.shown, self.clock()
        assert shown is not None
        if asked is not None:
            total_ms = 1e3 * (now - asked.at)
            self.stats.time_frame(total_ms)
            timings_ms = {"total": total_ms, **timings_ms}
        prompt = shown.prepared.prompt
        self._frames += 1
        frame = Frame(
            sequence=prompt.sequence,
            frame=self._frames,
            steps=shown.steps,
            prompt=prompt.prompt,
            jpeg=shown.jpeg,
            width=shown.picture.width,
            height=shown.picture.height,
            final=next_step_count(shown.steps, prompt.settings.steps) is None,
            repeated=repeated,
            timings_ms=timings_ms,
            dropped=self._overtaken,
        )
        self._overtaken = 0
        self.hungry_since = None
        self.rested_at = now
        self.stats.count("frames")
        self._send(frame)

    def _send(self, update: LiveUpdate) -> None:
        if self.session.closed:
            return
        sent = attempt(lambda: self.session.on_update(update))
        if isinstance(sent, Failure):
            number = self.session.number
            _LOG.error("the callback of live session %d failed; it is closed", number, exc_info=sent.error)
            self.session.close()

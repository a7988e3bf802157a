"""What the engine knows of a live session: what it shows, what it is to show next, and how a frame leaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from allaprima.core.picture import Picture
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.finish import Finish
from allaprima.studio.engine.live_session import LiveSession, PendingPrompt
from allaprima.studio.engine.messages import Frame, LiveFailed, LivePrompt, LiveSettings, LiveUpdate
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.paint.pipeline.denoise import FirstPrediction
    from allaprima.studio.engine.model_runner import PreparedPrompt

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ShownFrame:
    """The frame a session saw last."""

    key: Hashable
    """`prompt_key` of its prompt."""
    prepared: PreparedPrompt
    finish: Finish
    picture: Picture
    first: FirstPrediction | None
    """The model's first answer, of use to finer frames."""
    jpeg: bytes = b""


@dataclass(kw_only=True)
class SessionState:
    """One session as the engine's thread sees it."""

    session: LiveSession
    """What other threads hold."""
    clock: Callable[[], float]
    """The engine's."""
    stats: Stats
    """The engine's counters."""
    aim: LivePrompt | None = None
    """The prompt to show and refine; None before the first and after a failure or a blank one."""
    shown: ShownFrame | None = None
    """Its last frame."""
    waits_since: float | None = None
    """When the first prompt came since the last frame; None if none has."""
    passed_over: int = 0
    """Batches that others got while it waited for one."""
    asked_at: float = 0.0
    """When its aim came."""
    shown_at: float = 0.0
    """When it got its last frame."""
    _frames: int = 0
    _superseded: int = 0

    def take(self, pending: PendingPrompt) -> bool:
        """Make the waiting prompt the new aim, if it is still `pending`; return whether it was."""
        if not self.session.take(pending):
            return False
        self.passed_over = 0
        self.asked_at = pending.at
        self._superseded += pending.superseded
        self.stats.count("prompts_overtaken", pending.superseded)
        self.stats.count("prompts", pending.superseded + 1)
        self.waits_since = pending.since if self.waits_since is None else self.waits_since
        self.aim = None if pending.prompt.blank else pending.prompt
        if self.aim is None:
            self.waits_since = None
        return True

    def shows(self, key: Hashable, settings: LiveSettings) -> bool:
        """Return whether the last frame is a picture of that `prompt_key`, no finer than `settings` ask for."""
        shown = self.shown
        return shown is not None and shown.key == key and not shown.finish.is_beyond(settings)

    def shows_picture(self, key: Hashable, settings: LiveSettings) -> bool:
        """Return whether the last frame is the picture of that `PreparedPrompt.key`, no finer than is asked for."""
        shown = self.shown
        return shown is not None and shown.prepared.key == key and not shown.finish.is_beyond(settings)

    @property
    def next_finish(self) -> Finish | None:
        """How far its next, finer frame is finished; None while there is nothing to refine."""
        if self.aim is None or self.shown is None or self.session.waiting is not None or self.session.closed:
            return None
        return self.shown.finish.next(self.aim.settings)

    def repeat(self, key: Hashable, prepared: PreparedPrompt | None, pending: PendingPrompt) -> None:
        """Answer the aim with the last frame, written anew if the quality differs."""
        aim, shown = self.aim, self.shown
        assert aim is not None
        assert shown is not None
        shown.key = key
        shown.prepared = replace(shown.prepared if prepared is None else prepared, prompt=aim)
        request = shown.finish.request(aim.settings, aim.prompt)
        if request != shown.picture.request:
            shown.picture = replace(shown.picture, request=request)
            shown.jpeg = shown.picture.encode("jpeg")
        self.stats.count("frames_repeated")
        self._send_frame({}, pending, repeated=True)

    def show(self, shown: ShownFrame, timings_ms: Mapping[str, float], pending: PendingPrompt | None) -> None:
        """Send a new frame, the first one for `pending` if it is that; `shown.jpeg` is filled in here."""
        started = time.perf_counter()
        shown.jpeg = shown.picture.encode("jpeg")
        self.shown = shown
        encode_ms = 1e3 * (time.perf_counter() - started)
        self._send_frame({**timings_ms, "encode": encode_ms}, pending, repeated=False)

    def supersede(self) -> None:
        """Note that a prompt under way was dropped unseen."""
        self._superseded += 1
        self.stats.count("prompts_overtaken")

    def fail(self, prompt: LivePrompt, trouble: Failure) -> None:
        """Tell the session that `prompt` cannot be painted, and stop trying."""
        message, number = trouble.explain()
        self.stats.count("failures")
        if self.aim is prompt:
            self.aim = None
        self.waits_since = None
        self._send(LiveFailed(sequence=prompt.sequence, message=message, id=number))

    def _send_frame(
        self, timings_ms: Mapping[str, float], pending: PendingPrompt | None, *, repeated: bool
    ) -> None:
        shown, now = self.shown, self.clock()
        assert shown is not None
        if pending is not None:
            total_ms = 1e3 * (now - pending.at)
            self.stats.time_frame(total_ms)
            timings_ms = {"total": total_ms, **timings_ms}
        prompt = shown.prepared.prompt
        below = prompt.init_image
        self._frames += 1
        final = shown.finish.next(prompt.settings) is None
        frame = Frame(
            sequence=prompt.sequence, frame=self._frames, steps=shown.finish.steps,
            prompt=prompt.prompt if prompt.said is None else prompt.said,
            jpeg=shown.jpeg, width=shown.picture.width, height=shown.picture.height, final=final,
            repeated=repeated, timings_ms=timings_ms, dropped=self._superseded,
            strength=shown.picture.init_strength, masked=below is not None and below.mask is not None,
            remarks=shown.prepared.remarks, layout=shown.picture.painted_layout,
        )  # fmt: skip
        self._superseded = 0
        self.waits_since = None
        self.shown_at = now
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

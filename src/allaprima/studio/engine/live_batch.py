"""Pictures in the making: a pass for several sessions, left by each as soon as nobody waits for its picture."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from allaprima.core.picture import Picture
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.live_session import PATIENCE_S, PendingPrompt, prompt_key
from allaprima.studio.engine.session_state import SessionState, ShownFrame
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.studio.engine.model_runner import FirstPrediction, LivePass, ModelRunner, PreparedPrompt


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveRow:
    """One session's picture, begun or about to be.

    Attributes:
        seat: the session.
        prepared: its prompt, encoded.
        like: `prompt_key` of that prompt.
        steps: of the picture.
        asked: what a first frame answers; None for a finer one.
        text_ms: what encoding took, together with others.
        patience_s: how long the session may see nothing because what it asked for was overtaken.
    """

    seat: SessionState
    prepared: PreparedPrompt
    like: Hashable
    steps: int
    asked: PendingPrompt | None = None
    text_ms: float = 0.0
    patience_s: float = PATIENCE_S

    def stale(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        seat = self.seat
        if seat.session.closed or seat.aim is None:
            return True
        waiting = seat.session.waiting
        if waiting is not None and (waiting.prompt.blank or prompt_key(waiting.prompt) != self.like):
            hungry_since = seat.hungry_since
            return self.asked is None or hungry_since is None or now - hungry_since < self.patience_s
        aim = seat.aim if waiting is None else waiting.prompt
        if self.steps > aim.settings.steps:
            return True
        return self.asked is None and not seat.shows_key(self.prepared.key, self.steps)

    def opening(self) -> FirstPrediction | None:
        """The first prediction, if the session's last frame began like this picture."""
        shown = self.seat.shown
        return shown.opening if shown is not None and shown.prepared.key == self.prepared.key else None


@dataclass(kw_only=True)
class LiveBatch:
    """A pass under way; the rows of `live` are those of `sheets`."""

    sheets: Sequence[LiveRow]
    live: LivePass
    stats: Stats
    clock: Callable[[], float]

    @property
    def alive(self) -> list[LiveRow]:
        """The pictures that are still painted."""
        return [self.sheets[row] for row in self.live.alive]

    @property
    def left(self) -> int:
        """Steps to take before they can be delivered."""
        return self.live.left

    def step(self) -> None:
        """Take a step with whatever is not stale; without any, nothing is left to do."""
        if self.drop_stale():
            before = self.live.shared.predictions
            self.live.advance()
            self.stats.count("predictions", self.live.shared.predictions - before)

    def drop_stale(self) -> bool:
        """Give up what nobody waits for; return whether anything is left."""
        now = self.clock()
        for row in self.live.alive:
            if self.sheets[row].stale(now):
                self._drop(row)
        return bool(self.live.alive)

    def deliver(self) -> None:
        """Decode what is not stale and send it, row by row where that is as quick as all at once."""
        rows = list(self.live.alive)
        stride = len(rows) if self.live.decodes_together else 1
        for start in range(0, len(rows), max(1, stride)):
            self.drop_stale()
            kept = [row for row in rows[start : start + stride] if row in self.live.alive]
            if kept:
                self._deliver(kept)
        self.stats.count("rescues", self.live.shared.rescues.total)

    def _deliver(self, rows: Sequence[int]) -> None:
        pictures = attempt(lambda: self._decode(rows))
        if not isinstance(pictures, Failure):
            for row, picture in zip(rows, pictures, strict=True):
                self._send(row, picture)
        elif len(rows) == 1:
            sheet = self.sheets[rows[0]]
            sheet.seat.fail(sheet.prepared.prompt, pictures)
        else:
            for row in rows:
                self._deliver([row])

    def _decode(self, rows: Sequence[int]) -> Sequence[Picture]:
        aims = [self.sheets[row].seat.aim or self.sheets[row].prepared.prompt for row in rows]
        return self.live.decode(rows, aims)

    def _send(self, row: int, picture: Picture) -> None:
        sheet = self.sheets[row]
        aim = sheet.seat.aim or sheet.prepared.prompt
        shown = ShownFrame(
            like=prompt_key(aim),
            prepared=replace(sheet.prepared, prompt=aim),
            steps=sheet.steps,
            picture=picture,
            opening=self.live.opening(row),
        )
        sheet.seat.show(shown, {"text": sheet.text_ms, **self.live.timings_ms}, sheet.asked)

    def _drop(self, row: int) -> None:
        self.live.drop(row)
        self.stats.count("steps_spared", self.live.left)
        self.stats.count("decodes_spared")
        if self.sheets[row].asked is not None:
            self.sheets[row].seat.overtake()


def begin_batch(
    easel: ModelRunner, sheets: Sequence[LiveRow], stats: Stats, clock: Callable[[], float]
) -> LiveBatch:
    """Return the pass that makes `sheets`, which agree in all that a pass has only one of."""
    live = easel.begin(
        [sheet.prepared for sheet in sheets], sheets[0].steps, [sheet.opening() for sheet in sheets]
    )
    stats.count("passes")
    stats.count("rows", len(sheets))
    return LiveBatch(sheets=sheets, live=live, stats=stats, clock=clock)

"""Painting for all live sessions: who is answered without painting, who shares a pass, whose error is whose.

Three kinds of work, each a short turn: `settle` answers what needs no painting, `paint_first` is one pass of first
frames, `refine` one step of a pass of finer ones. It asks `clock` for the time and sleeps nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from allaprima.core.request import LoraUse
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.fairness import Candidate, select_batch
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_batch import LiveBatch, LiveRow, begin_batch
from allaprima.studio.engine.live_session import Debounce, LiveSession, PendingPrompt, prompt_key
from allaprima.studio.engine.messages import LivePrompt
from allaprima.studio.engine.session_state import SessionState
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.studio.engine.model_runner import ModelRunner, PreparedPrompt


class BatchKey(NamedTuple):
    """What pictures of one pass have in common."""

    base: str
    width: int
    height: int
    schedule: str | None
    loras: tuple[LoraUse, ...]
    guidance: float
    steps: int


@dataclass(kw_only=True)
class LiveScheduler:
    """All live sessions of one engine; belongs to the engine's thread."""

    easel: ModelRunner
    limits: Limits
    stats: Stats
    clock: Callable[[], float]
    seats: dict[int, SessionState] = field(default_factory=dict)
    _refining: LiveBatch | None = None
    _graces: dict[str, Debounce] = field(default_factory=dict)

    def open(self, session: LiveSession) -> None:
        """Give `session` a seat."""
        self.seats[session.number] = SessionState(session=session, clock=self.clock, stats=self.stats)

    def settle(self) -> None:
        """Let closed sessions go, and answer what differs from the last frame in nothing that can be seen."""
        for number, seat in list(self.seats.items()):
            asked = seat.session.waiting
            if seat.session.closed:
                del self.seats[number]
            elif asked is not None:
                prompt = asked.prompt
                if prompt.blank:
                    seat.take(asked)
                elif seat.shows(like := prompt_key(prompt), prompt.settings.steps) and seat.take(asked):
                    seat.repeat(like, None, asked)

    def due_in(self) -> float | None:
        """Return the seconds until a first frame may be painted (0: now), None if nobody waits for one."""
        moments = [self._due(asked) for _, asked in self._waiting()]
        return max(0.0, min(moments) - self.clock()) if moments else None

    def paint_first(self) -> None:
        """Paint the first frames of those whose turn it is, in one pass."""
        now = self.clock()
        due = [(seat, asked) for seat, asked in self._waiting() if self._due(asked) <= now]
        waiting = [
            Candidate(
                who=(seat, asked),
                group=_group(asked.prompt, 1),
                since=asked.since,
                passed_over=seat.passed_over,
            )
            for seat, asked in due
        ]
        for seat, _ in due:
            seat.passed_over += 1
        chosen = [(seat, asked) for seat, asked in select_batch(waiting, self._room) if seat.take(asked)]
        sheets = sorted(self._prepare(chosen), key=lambda sheet: sheet.prepared.guidance)
        # Guidance is 1 for those whose negative prompt says the same as their prompt; they need a pass of their own.
        for _, alike in groupby(sheets, key=lambda sheet: sheet.prepared.guidance):
            self._make(list(alike))
        if sheets:
            grace = self._grace(sheets[0].prepared.prompt.settings.base)
            grace.note((self.clock() - now) / len(sheets))

    def refines_in(self) -> float | None:
        """Return the seconds until some frame may be made finer (0: now), None if none can be."""
        if self._refining is not None:
            return 0.0
        moments = [self._rested(seat) for seat in self.seats.values() if seat.next_steps is not None]
        return max(0.0, min(moments) - self.clock()) if moments else None

    def refine(self) -> None:
        """Take one step of a pass of finer frames; after its last step they are sent."""
        making, self._refining = self._refining or self._begin_refining(), None
        if making is None:
            return
        stepped = attempt(making.step)
        if isinstance(stepped, Failure):
            self._make_alone(making.alive, stepped)
            return
        if making.left == 0:
            making.deliver()
        elif making.drop_stale():
            self._refining = making

    def close(self) -> None:
        """Close every session."""
        for seat in self.seats.values():
            seat.session.close()
        self.seats.clear()
        self._refining = None

    def _waiting(self) -> list[tuple[SessionState, PendingPrompt]]:
        return [
            (seat, asked)
            for seat in self.seats.values()
            if (asked := seat.session.waiting) is not None and not asked.prompt.blank
        ]

    def _grace(self, base: str) -> Debounce:
        return self._graces.setdefault(base, Debounce())

    def _due(self, asked: PendingPrompt) -> float:
        grace = self._graces.get(asked.prompt.settings.base)
        return asked.at if grace is None else grace.due(asked)

    def _rested(self, seat: SessionState) -> float:
        grace = None if seat.aim is None else self._graces.get(seat.aim.settings.base)
        return seat.asked_at if grace is None else grace.rested(seat.asked_at)

    def _room(self, group: BatchKey) -> int:
        return self.limits.rows_per_pass(group.width, group.height)

    def _prepare(self, chosen: Sequence[tuple[SessionState, PendingPrompt]]) -> list[LiveRow]:
        """Encode what was chosen; return what has to be painted, having answered the rest."""
        if not chosen:
            return []
        started = time.perf_counter()
        prepared = attempt(lambda: self.easel.prepare([asked.prompt for _, asked in chosen]))
        if isinstance(prepared, Failure):
            if len(chosen) > 1:
                return [sheet for one in chosen for sheet in self._prepare([one])]
            seat, asked = chosen[0]
            seat.fail(asked.prompt, prepared)
            return []
        text_ms = 1e3 * (time.perf_counter() - started)
        found = zip(chosen, prepared, strict=True)
        sheets = [self._to_sheet(seat, asked, ready, text_ms) for (seat, asked), ready in found]
        return [sheet for sheet in sheets if sheet is not None]

    def _to_sheet(
        self, seat: SessionState, asked: PendingPrompt, ready: PreparedPrompt, text_ms: float
    ) -> LiveRow | None:
        like = prompt_key(asked.prompt)
        if seat.shows_key(ready.key, asked.prompt.settings.steps):
            seat.repeat(like, ready, asked)
            return None
        patience = self._grace(asked.prompt.settings.base).patience
        return LiveRow(
            seat=seat, prepared=ready, like=like, steps=1, asked=asked, text_ms=text_ms, patience_s=patience
        )

    def _make(self, sheets: Sequence[LiveRow]) -> None:
        """Make `sheets` from beginning to end."""
        making = attempt(lambda: begin_batch(self.easel, sheets, self.stats, self.clock))
        if isinstance(making, Failure):
            self._make_alone(sheets, making)
            return
        while making.left:
            stepped = attempt(making.step)
            if isinstance(stepped, Failure):
                self._make_alone(making.alive, stepped)
                return
            if not making.drop_stale():
                return
        making.deliver()

    def _make_alone(self, sheets: Sequence[LiveRow], trouble: Failure) -> None:
        """After `trouble` in a pass of `sheets`, find out whose it is: each is made by itself."""
        if len(sheets) == 1:
            sheets[0].seat.fail(sheets[0].prepared.prompt, trouble)
            return
        for sheet in sheets:
            self._make([sheet])

    def _begin_refining(self) -> LiveBatch | None:
        waiting, now = [], self.clock()
        for seat in self.seats.values():
            steps, shown = seat.next_steps, seat.shown
            if steps is not None and shown is not None and self._rested(seat) <= now:
                sheet = LiveRow(seat=seat, prepared=shown.prepared, like=shown.like, steps=steps)
                group = _group(shown.prepared.prompt, steps)._replace(guidance=shown.prepared.guidance)
                waiting.append(Candidate(who=sheet, group=group, since=seat.rested_at))
        sheets = select_batch(waiting, self._room)
        if not sheets:
            return None
        making = attempt(lambda: begin_batch(self.easel, sheets, self.stats, self.clock))
        if isinstance(making, Failure):
            self._make_alone(sheets, making)
            return None
        return making


def _group(prompt: LivePrompt, steps: int) -> BatchKey:
    settings = prompt.settings
    return BatchKey(
        base=settings.base,
        width=settings.width,
        height=settings.height,
        schedule=settings.schedule,
        loras=settings.loras,
        guidance=settings.guidance,
        steps=steps,
    )

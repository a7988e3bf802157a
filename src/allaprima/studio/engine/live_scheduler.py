"""Painting for all live sessions: who is answered without painting, who shares a batch, whose error is whose.

Three kinds of work, each a short turn: `settle` answers what needs no painting, `paint_first` is one batch of first
frames, `refine` one step of a batch of finer ones. It asks `clock` for the time and sleeps nowhere.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from allaprima.core.init_image import InitImage
from allaprima.core.request import LoraUse
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.fairness import Candidate, select_batch
from allaprima.studio.engine.finish import Finish
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_batch import LiveBatch, LiveRow
from allaprima.studio.engine.live_session import Debounce, LiveSession, PendingPrompt, prompt_key
from allaprima.studio.engine.messages import LivePrompt
from allaprima.studio.engine.session_state import SessionState
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.studio.engine.model_runner import ModelRunner


class BatchKey(NamedTuple):
    """What frames of one batch have in common."""

    base: str
    width: int
    height: int
    schedule: str | None
    loras: tuple[LoraUse, ...]
    guidance: float
    steps: int
    init_image: InitImage | None
    coarse: bool | None = None


@dataclass(kw_only=True)
class LiveScheduler:
    """All live sessions of one engine; belongs to the engine's thread."""

    runner: ModelRunner
    limits: Limits
    stats: Stats
    clock: Callable[[], float]
    sessions: dict[int, SessionState] = field(default_factory=dict)
    """By number."""
    _refining: LiveBatch | None = None
    _debounce: dict[str, Debounce] = field(default_factory=lambda: defaultdict(Debounce))
    """By base."""

    def open(self, session: LiveSession) -> None:
        """Paint for `session` from now on."""
        self.sessions[session.number] = SessionState(session=session, clock=self.clock, stats=self.stats)

    def settle(self) -> None:
        """Let closed sessions go, and answer what differs from the last frame in nothing that can be seen."""
        for number, state in list(self.sessions.items()):
            pending = state.session.waiting
            if state.session.closed:
                del self.sessions[number]
            elif pending is not None:
                prompt = pending.prompt
                if prompt.blank:
                    state.take(pending)
                elif state.shows(key := prompt_key(prompt), prompt.settings) and state.take(pending):
                    state.repeat(key, None, pending)

    def due_in(self) -> float | None:
        """Return the seconds until a first frame may be painted (0: now), None if nobody waits for one."""
        moments = [self._due(pending) for _, pending in self._waiting()]
        return max(0.0, min(moments) - self.clock()) if moments else None

    def paint_first(self) -> None:
        """Paint the first frames of those whose turn it is, in one batch."""
        now = self.clock()
        due = [(state, pending) for state, pending in self._waiting() if self._due(pending) <= now]
        candidates = []
        for state, pending in due:
            group, passed_over = _batch_key(pending.prompt, 1), state.passed_over
            who = (state, pending)
            candidates.append(Candidate(who=who, group=group, since=pending.since, passed_over=passed_over))
            state.passed_over += 1
        picked = select_batch(candidates, self._max_rows)
        chosen = [(state, pending) for state, pending in picked if state.take(pending)]
        rows = sorted(self._prepare(chosen), key=lambda row: row.prepared.guidance)
        # Guidance is 1 for those whose negative prompt says the same as their prompt; they need their own batch.
        for _, alike in groupby(rows, key=lambda row: row.prepared.guidance):
            self._paint(list(alike))
        if rows:
            base = rows[0].prepared.prompt.settings.base
            self._debounce[base].note((self.clock() - now) / len(rows))

    def refines_in(self) -> float | None:
        """Return the seconds until some frame may be made finer (0: now), None if none can be."""
        if self._refining is not None:
            return 0.0
        unfinished = (state for state in self.sessions.values() if state.next_finish is not None)
        moments = [self._rested(state) for state in unfinished]
        return max(0.0, min(moments) - self.clock()) if moments else None

    def refine(self) -> None:
        """Take one step of a batch of finer frames; after its last step they are sent."""
        batch, self._refining = self._refining or self._begin_refining(), None
        if batch is None:
            return
        failure = batch.step()
        if failure is not None:
            self._paint_alone(batch.alive, failure)
        elif batch.left == 0:
            batch.deliver()
        elif batch.drop_stale():
            self._refining = batch

    def close(self) -> None:
        """Close every session."""
        for state in self.sessions.values():
            state.session.close()
        self.sessions.clear()
        self._refining = None

    def _waiting(self) -> list[tuple[SessionState, PendingPrompt]]:
        return [
            (state, pending)
            for state in self.sessions.values()
            if (pending := state.session.waiting) is not None and not pending.prompt.blank
        ]

    def _due(self, pending: PendingPrompt) -> float:
        return self._debounce[pending.prompt.settings.base].due(pending)

    def _rested(self, state: SessionState) -> float:
        assert state.aim is not None, "asked only of sessions with something to refine"
        return self._debounce[state.aim.settings.base].rested(state.asked_at)

    def _max_rows(self, key: BatchKey) -> int:
        return self.limits.rows_per_pass(key.width, key.height)

    def _prepare(self, chosen: Sequence[tuple[SessionState, PendingPrompt]]) -> list[LiveRow]:
        """Encode what was chosen; return what has to be painted, having answered the rest."""
        if not chosen:
            return []
        started = time.perf_counter()
        prepared = attempt(self.runner.prepare, [pending.prompt for _, pending in chosen])
        if isinstance(prepared, Failure):
            if len(chosen) > 1:
                return [row for each in chosen for row in self._prepare([each])]
            state, pending = chosen[0]
            state.fail(pending.prompt, prepared)
            return []
        text_ms = 1e3 * (time.perf_counter() - started)
        rows = []
        for (state, pending), ready in zip(chosen, prepared, strict=True):
            key, settings = prompt_key(pending.prompt), pending.prompt.settings
            if state.shows_picture(ready.key, settings):
                state.repeat(key, ready, pending)
            else:
                rows.append(LiveRow(
                    state=state, prepared=ready, key=key,
                    finish=Finish.first(has_coarse_decoder=ready.has_coarse_decoder),
                    pending=pending, text_ms=text_ms, patience_s=self._debounce[settings.base].patience_s,
                ))  # fmt: skip
        return rows

    def _paint(self, rows: Sequence[LiveRow]) -> None:
        """Paint `rows` from beginning to end."""
        batch = LiveBatch.begin(self.runner, rows, self.stats, self.clock)
        if isinstance(batch, Failure):
            self._paint_alone(rows, batch)
            return
        while batch.left:
            failure = batch.step()
            if failure is not None:
                self._paint_alone(batch.alive, failure)
                return
            if not batch.drop_stale():
                return
        batch.deliver()

    def _paint_alone(self, rows: Sequence[LiveRow], failure: Failure) -> None:
        """Find out whose failure it was in a batch of `rows`: each is painted by itself."""
        if len(rows) == 1:
            rows[0].state.fail(rows[0].prepared.prompt, failure)
            return
        for row in rows:
            self._paint([row])

    def _begin_refining(self) -> LiveBatch | None:
        candidates, now = [], self.clock()
        for state in self.sessions.values():
            finish, shown = state.next_finish, state.shown
            if finish is not None and shown is not None and self._rested(state) <= now:
                row = LiveRow(state=state, prepared=shown.prepared, key=shown.key, finish=finish)
                group = _batch_key(shown.prepared.prompt, finish.steps)._replace(
                    guidance=shown.prepared.guidance, coarse=finish.coarse
                )
                candidates.append(Candidate(who=row, group=group, since=state.shown_at))
        rows = select_batch(candidates, self._max_rows)
        if not rows:
            return None
        batch = LiveBatch.begin(self.runner, rows, self.stats, self.clock)
        if isinstance(batch, Failure):
            self._paint_alone(rows, batch)
            return None
        return batch


def _batch_key(prompt: LivePrompt, steps: int) -> BatchKey:
    asked = prompt.settings
    return BatchKey(
        base=asked.base, width=asked.width, height=asked.height, schedule=asked.schedule, loras=asked.loras,
        guidance=asked.guidance, steps=steps, init_image=prompt.init_image,
    )  # fmt: skip

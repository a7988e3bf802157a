"""Live frames on their way: a batch for several sessions, left by each as soon as nobody waits for its frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from allaprima.core.picture import Picture
from allaprima.studio.engine.attempt import Failure, attempted
from allaprima.studio.engine.finish import Finish
from allaprima.studio.engine.live_session import PATIENCE_S, PendingPrompt, prompt_key
from allaprima.studio.engine.session_state import SessionState, ShownFrame
from allaprima.studio.engine.stats import Stats

if TYPE_CHECKING:
    from allaprima.paint.pipeline.denoise import DenoiseBatch, FirstPrediction
    from allaprima.studio.engine.model_runner import ModelRunner, PreparedPrompt


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveRow:
    """One session's frame, begun or about to be."""

    state: SessionState
    """The session."""
    prepared: PreparedPrompt
    """Its prompt, encoded."""
    key: Hashable
    """`prompt_key` of that prompt."""
    finish: Finish
    """How far the frame is finished."""
    pending: PendingPrompt | None = None
    """What a first frame answers; None for a finer one."""
    text_ms: float = 0.0
    """Milliseconds that encoding took, together with others."""
    patience_s: float = PATIENCE_S
    """How long the session may see nothing because what it asked for was superseded."""

    def is_stale(self, now: float) -> bool:
        """Return whether nobody waits for it any more."""
        state = self.state
        if state.session.closed or state.aim is None:
            return True
        newer = state.session.waiting
        if newer is not None and (newer.prompt.blank or prompt_key(newer.prompt) != self.key):
            waits_since = state.waits_since
            return self.pending is None or waits_since is None or now - waits_since < self.patience_s
        aim = state.aim if newer is None else newer.prompt
        if self.finish.is_beyond(aim.settings):
            return True
        return self.pending is None and not state.shows_picture(self.prepared.key, aim.settings)

    def known_first(self) -> FirstPrediction | None:
        """Return the first prediction, if the session's last frame began like this one."""
        shown = self.state.shown
        return shown.first if shown is not None and shown.prepared.key == self.prepared.key else None


@dataclass(kw_only=True)
class LiveBatch:
    """Rows under way; those of `batch` are those of `rows`."""

    rows: Sequence[LiveRow]
    batch: DenoiseBatch
    stats: Stats
    clock: Callable[[], float]
    timings_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    @attempted
    def begin(
        cls, runner: ModelRunner, rows: Sequence[LiveRow], stats: Stats, clock: Callable[[], float]
    ) -> LiveBatch:
        """Return the batch that paints `rows`, which agree in all that a batch has only one of."""
        prepared, firsts = [row.prepared for row in rows], [row.known_first() for row in rows]
        batch = runner.begin(prepared, rows[0].finish.steps, firsts)
        stats.count("passes")
        stats.count("rows", len(rows))
        return cls(rows=rows, batch=batch, stats=stats, clock=clock)

    @property
    def alive(self) -> list[LiveRow]:
        """The frames that are still painted."""
        return [self.rows[row] for row in self.batch.alive]

    @property
    def left(self) -> int:
        """Steps to take before the frames can be delivered."""
        return self.batch.left

    @attempted
    def step(self) -> None:
        """Take a step with whatever is not stale; without any, nothing is left to do."""
        if self.drop_stale():
            before = self.batch.predictions
            with self._timed("denoise"):
                self.batch.step()
            self.stats.count("predictions", self.batch.predictions - before)

    def drop_stale(self) -> bool:
        """Give up what nobody waits for; return whether anything is left."""
        now = self.clock()
        for row in self.batch.alive:
            if self.rows[row].is_stale(now):
                self._drop(row)
        return bool(self.batch.alive)

    def deliver(self) -> None:
        """Decode what is not stale and send it, row by row where that is as quick as all at once."""
        rows = list(self.batch.alive)
        stride = len(rows) if self.batch.is_cuda else 1
        for start in range(0, len(rows), max(1, stride)):
            self.drop_stale()
            fresh = [row for row in rows[start : start + stride] if row in self.batch.alive]
            if fresh:
                self._deliver(fresh)
        self.stats.count("rescues", self.batch.rescues.total)

    def _deliver(self, rows: Sequence[int]) -> None:
        pictures = self._decode(rows)
        if not isinstance(pictures, Failure):
            for row, picture in zip(rows, pictures, strict=True):
                self._send(row, picture)
        elif len(rows) == 1:
            failed = self.rows[rows[0]]
            failed.state.fail(failed.prepared.prompt, pictures)
        else:
            for row in rows:
                self._deliver([row])

    @attempted
    def _decode(self, rows: Sequence[int]) -> Sequence[Picture]:
        from allaprima.paint.pipeline.pictures import complete, to_pictures  # they import torch

        aims = [self.rows[row].state.aim or self.rows[row].prepared.prompt for row in rows]
        requests = [
            replace(self.rows[row].finish.request(aim.settings, aim.prompt), loras=self.batch.loras)
            for row, aim in zip(rows, aims, strict=True)
        ]
        with self._timed("decode"):
            pixels = self.batch.decode(rows, coarse=self.rows[rows[0]].finish.coarse is True)
            layouts = [self.rows[row].prepared.layout for row in rows]
            pictures = to_pictures(
                pixels, requests, self.batch.rescues, step_cache=self.batch.cached_by, layouts=layouts
            )
        return complete(pictures, self.rows[0].prepared.prompt.init_image)

    def _send(self, index: int, picture: Picture) -> None:
        row = self.rows[index]
        aim = row.state.aim or row.prepared.prompt
        shown = ShownFrame(
            key=prompt_key(aim),
            prepared=replace(row.prepared, prompt=aim),
            finish=row.finish,
            picture=picture,
            first=self.batch.first(index),
        )
        row.state.show(shown, {"text": row.text_ms, **self.timings_ms}, row.pending)

    def _drop(self, index: int) -> None:
        self.batch.drop(index)
        self.stats.count("steps_spared", self.left)
        self.stats.count("decodes_spared")
        if self.rows[index].pending is not None:
            self.rows[index].state.supersede()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + 1e3 * (time.perf_counter() - started)

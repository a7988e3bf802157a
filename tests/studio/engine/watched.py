"""An engine without a thread: a base that can be watched, a clock that is told the time, a worker that is stepped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.tiny import SteadyBase

from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import TextStates
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine_loop import EngineLoop
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_scheduler import LiveScheduler
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import (
    Frame,
    JobUpdate,
    LiveFailed,
    LivePrompt,
    LiveSettings,
    LiveUpdate,
)
from allaprima.studio.engine.stats import Snapshot


@dataclass
class WatchedBase(SteadyBase):
    """A SteadyBase that lets a test act while it computes, takes time on a logical clock, and counts decodes.

    Case and spaces of a prompt do not matter to it, and `cursed` in a prompt makes it fail.
    """

    decodes: int = 0
    encodes: int = 0
    """Pictures that were encoded."""
    during_predict: list[Callable[[], object]] = field(default_factory=list)
    """Called, and used up, one per prediction."""
    before_predict: Callable[[], None] = lambda: None

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        if any("unreadable" in prompt for prompt in prompts):
            raise RuntimeError("a secret of the machine")
        states = super().encode_text([prompt.strip().lower() for prompt in prompts])
        self.encoded[-1] = list(prompts)
        return states

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        self.before_predict()
        predicted = super().predict(latents, t, text)
        if self.during_predict:
            self.during_predict.pop(0)()
        return predicted

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        self.decodes += len(latents)
        return super().decode(latents)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.encodes += len(pixels)
        return super().encode(pixels)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Client:
    """A live session and everything it was told."""

    session: LiveSession
    updates: list[LiveUpdate]
    sequence: int = 0

    def ask(self, prompt: str, over: InitImage | None = None, **settings: Any) -> int:
        """Ask with the next sequence number and return it."""
        self.sequence += 1
        asked = LiveSettings(**settings)
        self.session.ask(LivePrompt(sequence=self.sequence, prompt=prompt, settings=asked, init_image=over))
        return self.sequence

    @property
    def frames(self) -> list[Frame]:
        return [update for update in self.updates if isinstance(update, Frame)]

    @property
    def failures(self) -> list[LiveFailed]:
        return [update for update in self.updates if isinstance(update, LiveFailed)]

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Sequence number and steps of each frame."""
        return [(frame.sequence, frame.steps) for frame in self.frames]


class Bench:
    """A worker that only does something when it is told to."""

    def __init__(
        self,
        base: WatchedBase | None = None,
        limits: Limits | None = None,
        painter: Painter | None = None,
    ) -> None:
        self.base = base or WatchedBase()
        self._painter = painter
        self.clock = Clock()
        self.loads: list[str] = []
        self.worker = EngineLoop(self._load, limits or Limits(), self.clock)
        self.worker.load("vignette")

    def _load(self, name: str) -> Painter:
        self.loads.append(name)
        return self._painter or Painter(base=self.base)

    def client(self, on_update: Callable[[LiveUpdate], None] | None = None) -> Client:
        """Open a session."""
        updates: list[LiveUpdate] = []
        session = self.worker.open_live(on_update or updates.append, lambda _: None)
        return Client(session=session, updates=updates)

    def clients(self, count: int) -> list[Client]:
        """Open sessions."""
        return [self.client() for _ in range(count)]

    def submit(
        self,
        *requests: GenerationRequest,
        owner: str = "",
        previews: bool = False,
        on_update: Callable[[JobUpdate], None] | None = None,
    ) -> tuple[Job, list[JobUpdate]]:
        """Queue a job."""
        updates: list[JobUpdate] = []
        job = self.worker.submit(
            requests, on_update or updates.append, owner=owner, previews=previews, init_image=None
        )
        return job, updates

    def turn(self, times: int = 1) -> float | None:
        """Take so many turns and return what the last said."""
        for _ in range(times):
            delay = self.worker.turn()
        return delay

    def run(self, most: int = 1000) -> None:
        """Take turns until there is nothing to do now."""
        for _ in range(most):
            if self.worker.turn() != 0.0:
                return
        raise AssertionError(f"there was still work after {most} turns")

    @property
    def live(self) -> LiveScheduler:
        """What the worker knows of live sessions."""
        assert self.worker._live is not None
        return self.worker._live

    @property
    def stats(self) -> Snapshot:
        return self.worker.snapshot()

    @contextmanager
    def unchanged_work(self) -> Iterator[None]:
        """Hold that nothing is computed inside."""
        before = (len(self.base.encoded), len(self.base.passes), self.base.decodes)
        yield
        assert (len(self.base.encoded), len(self.base.passes), self.base.decodes) == before

"""Clusters at tiny size: real replicas, in threads or in processes, of a base whose right answer is known."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from tests.tiny import SteadyBase

from allaprima.core.errors import WeightsError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.contract.base import TextStates
from allaprima.paint.painter import Painter
from allaprima.studio.cluster.cluster import Cluster
from allaprima.studio.cluster.cluster_session import ClusterSession
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.replica import Replica
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    Frame,
    JobUpdate,
    LiveFailed,
    LivePrompt,
    LiveSettings,
    LiveUpdate,
    Retouched,
)

TINY = {"width": 128, "height": 64, "guidance": 1.0}
WAIT_S = 120.0


@dataclass
class SlowBase(SteadyBase):
    """A SteadyBase that takes `pace_s` for every prediction, and waits while `held` is set."""

    pace_s: float = 0.0
    held: threading.Event = field(default_factory=threading.Event)

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        wait_for(lambda: not self.held.is_set())
        time.sleep(self.pace_s)
        return super().predict(latents, t, text)


def load_slow(pace_s: float, base: str, device: str | None) -> Painter:
    """Return a painter with a SlowBase; in a replica's process."""
    del base, device
    return Painter(base=SlowBase(pace_s=pace_s))


def load_nothing(base: str, device: str | None) -> Painter:
    """Fail as a base whose files are damaged."""
    raise WeightsError(f"got {base} on {device}, which is damaged; expected another")


def load_and_die(base: str, device: str | None) -> Painter:
    """End the process, as a lack of memory would."""
    del base, device
    os._exit(9)


def slow_plan(pace_s: float = 0.0) -> ReplicaPlan:
    """Return what replicas at tiny size are made of."""
    return ReplicaPlan(painter_factory=partial(load_slow, pace_s), bases=("vignette",))


@contextmanager
def clustered(plan: ReplicaPlan, replicas: int) -> Iterator[Cluster]:
    """Run a cluster with processes of its own for the with-block."""
    cluster = Cluster(plan, replicas=replicas)
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.close()


@dataclass(kw_only=True)
class Nearby:
    """A replica in a thread of this process."""

    base: SlowBase
    replica: Replica
    thread: threading.Thread

    def die(self) -> None:
        """Fall silent as a process that is killed does."""
        self.replica.link._hang_up()

    def end(self) -> None:
        self.base.held.clear()
        self.die()
        self.thread.join()


@dataclass
class Gathering:
    """A cluster of replicas in this process, which come and go as a test says."""

    cluster: Cluster
    stack: ExitStack
    replicas: list[Nearby] = field(default_factory=list)

    def add(self, pace_s: float = 0.0, *, bases: Sequence[str] = ("vignette",), held: bool = False) -> Nearby:
        """Let a replica join."""
        here, there = multiprocessing.Pipe()
        base = SlowBase(pace_s=pace_s)
        if held:
            base.held.set()
        engine = Engine(lambda _: Painter(base=base), bases=bases)
        replica = Replica(engine=engine, link=Link(there))
        nearby = Nearby(base=base, replica=replica, thread=threading.Thread(target=replica.run))
        nearby.thread.start()
        self.stack.callback(nearby.end)
        self.cluster.join(Link(here), f"replica {len(self.replicas)}")
        self.replicas.append(nearby)
        return nearby

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.cluster.stats().replicas == len(self.replicas))


@contextmanager
def gathered(count: int, pace_s: float = 0.0, limits: Limits | None = None) -> Iterator[Gathering]:
    """Run a cluster of `count` replicas for the with-block, from when all of them paint."""
    with ExitStack() as stack:
        cluster = Cluster(slow_plan(), replicas=0, limits=limits)
        stack.callback(cluster.close)
        cluster.begin()
        gathering = Gathering(cluster, stack)
        for _ in range(count):
            gathering.add(pace_s)
        gathering.wait_until_ready()
        yield gathering


def wait_for(condition: Callable[[], bool], seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.003)


def requests(count: int, prompt: str = "a cat", loras: tuple[LoraUse, ...] = ()) -> list[GenerationRequest]:
    """Return requests with seeds from 0."""
    return [
        GenerationRequest(prompt=prompt, steps=4, seed=seed, width=128, height=64, guidance=1.0, loras=loras)
        for seed in range(count)
    ]


@dataclass
class Asked:
    """A job and everything it was told."""

    updates: list[JobUpdate] = field(default_factory=list)
    _ended: queue.SimpleQueue[JobUpdate] = field(default_factory=queue.SimpleQueue)

    def hear(self, update: JobUpdate) -> None:
        self.updates.append(update)
        if isinstance(update, Done | Failed | Cancelled | Retouched):
            self._ended.put(update)

    def end(self) -> JobUpdate:
        """Wait for the last update."""
        return self._ended.get(timeout=WAIT_S)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [update for update in list(self.updates) if isinstance(update, kinds)]


@dataclass
class Typist:
    """A live session and what it was told."""

    session: ClusterSession = field(init=False)
    updates: list[LiveUpdate] = field(default_factory=list)
    sequence: int = 0

    @classmethod
    def open(cls, cluster: Cluster) -> Typist:
        typist = cls()
        typist.session = cluster.open_live(typist.updates.append)
        return typist

    def type(self, prompt: str, **fields: Any) -> int:
        """Ask with the next sequence number and return it."""
        self.sequence += 1
        over = fields.pop("over", None)
        settings = LiveSettings(**{**TINY, "steps": 1, **fields})
        self.session.ask(
            LivePrompt(sequence=self.sequence, prompt=prompt, settings=settings, init_image=over)
        )
        return self.sequence

    @property
    def frames(self) -> list[Frame]:
        return [update for update in list(self.updates) if isinstance(update, Frame)]

    @property
    def failures(self) -> list[LiveFailed]:
        return [update for update in list(self.updates) if isinstance(update, LiveFailed)]

    def frame(self, sequence: int) -> Frame:
        """Wait for a frame of that prompt."""
        wait_for(lambda: any(frame.sequence == sequence for frame in self.frames))
        return next(frame for frame in self.frames if frame.sequence == sequence)

    def see(self, prompt: str, **fields: Any) -> Frame:
        """Ask for a prompt and wait for its frame."""
        return self.frame(self.type(prompt, **fields))

"""A replica in a process of its own on this machine, which keeps to its cores or its GPU."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allaprima.studio.cluster.core_shares import keep_to
from allaprima.studio.cluster.link import Link

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from allaprima.paint.painter import Painter

CLOSING_S = 10.0
"""For how long a process may go on that was told to end."""


@dataclass(frozen=True, kw_only=True)
class ReplicaPlan:
    """What a replica is made of. It goes to another process, so all of it can be pickled."""

    painter_factory: Callable[[str, str | None], Painter]
    """Loads a base on a device; both by name, None for the usual device."""
    bases: tuple[str, ...]
    """As an `Engine` has them."""
    models_dirs: tuple[Path, ...] = ()
    """As an `Engine` has them."""
    device: str | None = None
    """As torch names it; None for a GPU each, or a share of the cores where there is none."""
    prepare: Callable[[], None] | None = None
    """Called first in the process, to set up its log."""


@dataclass(kw_only=True)
class ReplicaProcess:
    """A process that was started, and the link to it."""

    link: Link
    process: BaseProcess = field(repr=False)

    @classmethod
    def start(cls, plan: ReplicaPlan, number: int, cores: frozenset[int]) -> ReplicaProcess:
        """Start replica `number`, from 0, on its share of the cores; it loads its first base."""
        context = multiprocessing.get_context("spawn")  # a fork would take along threads' locks
        here, there = context.Pipe()
        process = context.Process(
            target=run_replica, args=(plan, number, cores, there), name=f"prima replica {number}", daemon=True
        )
        process.start()
        there.close()
        return cls(link=Link(here), process=process)

    def stop(self, patience_s: float = CLOSING_S) -> None:
        """Hang up, wait for the process to end, and kill it if it does not."""
        self.link.close()
        self.process.join(patience_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_replica(
    plan: ReplicaPlan, number: int, cores: frozenset[int], connection: Connection[Any, Any]
) -> None:
    """Be replica `number` until the cluster hangs up: the whole life of the process."""
    # Ctrl+C reaches all processes of a terminal; the cluster's own closes this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if plan.prepare is not None:
        plan.prepare()
    serve_link(plan, number, cores, Link(connection))


def serve_link(plan: ReplicaPlan, number: int, cores: frozenset[int], link: Link) -> None:
    """Paint for the cluster at the other end of `link` until it hangs up. SIGTERM has the replica leave."""
    from allaprima.studio.cluster.replica import Replica
    from allaprima.studio.engine.engine import Engine

    device = plan.device or device_of(number)
    if device is None or device == "cpu":
        keep_to(cores)
    engine = Engine(partial(_load, plan, device), bases=plan.bases, models_dirs=plan.models_dirs)
    replica = Replica(engine=engine, link=link)

    def leave(signal_number: int, frame: FrameType | None) -> None:
        del signal_number, frame
        replica.leave()

    if hasattr(signal, "SIGTERM") and _is_main_thread():
        signal.signal(signal.SIGTERM, leave)
    replica.run()


def device_of(number: int) -> str | None:
    """Return the GPU of replica `number` of this machine, which they share if they are more; None without GPUs."""
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{number % count}" if count else None


def _load(plan: ReplicaPlan, device: str | None, base: str) -> Painter:
    return plan.painter_factory(base, device)


def _is_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()

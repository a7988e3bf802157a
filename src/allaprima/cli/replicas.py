"""The options that say how many engines paint, and the engine or the cluster that they come to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.core.errors import UserError

if TYPE_CHECKING:
    from allaprima.paint.painter import Painter
    from allaprima.studio.engine.door import EngineDoor

MOST_REPLICAS = 64


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """How many paint, and where."""

    replicas: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_REPLICAS,
            help="Engines that paint, each in a process of its own with a GPU or its share of the cores.",
        ),
    ] = 1  # fmt: skip
    join_at: Annotated[
        str | None,
        typer.Option(
            help="Address, such as 10.0.0.1:7870, at which replicas of other machines join (prima cluster join); "
            "needs ALLAPRIMA_CLUSTER_KEY.",
            show_default=False,
        ),
    ] = None

    def check(self) -> None:
        """Refuse a studio in which nobody paints, and an address or a key that is none."""
        from allaprima.studio.cluster.meeting_point import cluster_key, parse_address

        if self.join_at is not None:
            parse_address(self.join_at)
            cluster_key()
        elif self.replicas == 0:
            raise UserError(
                "got --replicas 0 and no --join-at; expected one replica or more, here or elsewhere"
            )


def write_replica_log() -> None:
    """Have a replica's process write to the terminal as the studio does."""
    from allaprima.studio.server.log_lines import write_log

    write_log(sys.stderr)


@contextmanager
def open_engine(
    load_on: Callable[[str, str | None], Painter],
    options: ClusterOptions,
    *,
    bases: tuple[str, ...],
    models_dirs: tuple[Path, ...],
    device: str | None,
) -> Iterator[EngineDoor]:
    """Hold what paints, which is not begun, for the with-block: one engine in this process, or a cluster.

    Args:
        load_on: loads a base on a device, both by name; it can be pickled.
        options: those of the command line.
        bases: as an `Engine` has them.
        models_dirs: as an `Engine` has them.
        device: as torch names it; None for the usual, or for a GPU each.
    """
    if options.replicas == 1 and options.join_at is None:
        from allaprima.studio.engine.engine import Engine

        with closing(Engine(partial(_load, load_on, device), bases=bases, models_dirs=models_dirs)) as engine:
            yield engine
        return
    from allaprima.studio.cluster.cluster import Cluster
    from allaprima.studio.cluster.meeting_point import MeetingPoint, cluster_key, parse_address
    from allaprima.studio.cluster.replica_process import ReplicaPlan

    plan = ReplicaPlan(
        painter_factory=load_on,
        bases=bases,
        models_dirs=models_dirs,
        device=device,
        prepare=write_replica_log,
    )
    with ExitStack() as stack:
        cluster = stack.enter_context(closing(Cluster(plan, replicas=options.replicas)))
        if options.join_at is not None:
            point = MeetingPoint(*parse_address(options.join_at), cluster_key(), cluster.join)
            stack.enter_context(closing(point))
            print(f"prima: replicas join at port {point.port}", file=sys.stderr)
        yield cluster


def _load(load_on: Callable[[str, str | None], Painter], device: str | None, base: str) -> Painter:
    return load_on(base, device)

"""A replica that joins the cluster of another machine, and joins it again whenever the two were parted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from allaprima.studio.cluster.core_shares import keep_to
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.replica import Replica
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.engine.engine import Engine

if TYPE_CHECKING:
    from allaprima.paint.painter import Painter

_LOG = logging.getLogger(__name__)
RETRY_S = 2.0
"""Between two attempts to join."""


@dataclass(kw_only=True)
class Guest:
    """One replica in this process, for a cluster that is reached by `dial_cluster`."""

    plan: ReplicaPlan
    dial_cluster: Callable[[], Link]
    """As `meeting_point.dial`."""
    cores: frozenset[int] = frozenset()
    """Its share; none: all of them."""
    _leaving: threading.Event = field(default_factory=threading.Event)
    _replica: Replica | None = None

    def run(self) -> None:
        """Join, paint, and join again, until `leave` is called and the job under way is done.

        Raises:
            PaintError: the cluster has another key.
            UserError: the first base cannot be loaded.
        """
        keep_to(self.cores)
        while not self._leaving.is_set():
            try:
                link = self.dial_cluster()
            except OSError as error:
                _LOG.info("nobody to join: %s; trying again", error.strerror or error)
                self._leaving.wait(RETRY_S)
                continue
            load = partial(_load, self.plan)
            engine = Engine(load, bases=self.plan.bases, models_dirs=self.plan.models_dirs)
            self._replica = Replica(engine=engine, link=link)
            _LOG.info("joined; loading %s", self.plan.bases[0])
            self._replica.run()
            if engine.load_error is not None:
                raise engine.load_error
            self._leaving.wait(0.0 if self._leaving.is_set() else RETRY_S)

    def leave(self) -> None:
        """Take nothing new, finish the job under way and have `run` return; any thread."""
        self._leaving.set()
        if self._replica is not None:
            self._replica.leave()


def _load(plan: ReplicaPlan, base: str) -> Painter:
    return plan.painter_factory(base, plan.device)

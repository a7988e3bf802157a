"""A replica as its cluster sees it."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

from allaprima.studio.cluster.cluster_session import ClusterSession
from allaprima.studio.cluster.job_run import JobRun
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.replica_process import ReplicaProcess
from allaprima.studio.engine.stats import Snapshot


@dataclass(eq=False, kw_only=True)
class ClusterMember:
    """A replica that has come, or was started. Belongs to the cluster's thread."""

    name: str
    """For the log."""
    link: Link
    process: ReplicaProcess | None = None
    """Its process, if the cluster started it."""
    heard_at: float
    """When it last said something."""
    pid: int | None = None
    """Its process, as it says."""
    is_ready: bool = False
    """Whether its first base is loaded."""
    is_leaving: bool = False
    """Whether it gets nothing new."""
    run: JobRun | None = None
    """Its job."""
    sessions: dict[int, ClusterSession] = field(default_factory=dict)
    """By number."""
    last_used: float = 0.0
    """When it last got something to do."""
    snapshot: Snapshot | None = None
    """What its engine counted."""
    last_outfit: Hashable = None
    """What its last job wore."""

    @property
    def is_open(self) -> bool:
        """Whether it may get something new."""
        return self.is_ready and not self.is_leaving

    @property
    def num_sessions(self) -> int:
        """Live sessions that it paints for."""
        return len(self.sessions)

    @property
    def is_busy(self) -> bool:
        """Whether it has a job."""
        return self.run is not None

    @property
    def worn(self) -> Collection[Hashable]:
        """What it painted last."""
        return {self.last_outfit, *(session.outfit for session in self.sessions.values())} - {None}

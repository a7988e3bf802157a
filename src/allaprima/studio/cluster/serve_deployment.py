"""A replica as Ray Serve runs it: Ray picks the machine and the GPU, and starts it anew when it dies.

What is painted does not pass through Ray: the replica dials the studio, as one that was started by hand.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from ray import serve

from allaprima.studio.cluster.guest import Guest
from allaprima.studio.cluster.meeting_point import cluster_key, dial
from allaprima.studio.cluster.serve_config import DEPLOYMENT, DRAIN_S

if TYPE_CHECKING:
    from allaprima.studio.cluster.replica_process import ReplicaPlan


class ServedReplica:
    """A Guest in a thread of Ray Serve's process.

    Args:
        plan: what it is made of.
        host: of the studio's meeting point.
        port: its port.
    """

    def __init__(self, plan: ReplicaPlan, host: str, port: int) -> None:
        self._guest = Guest(plan=plan, dial_cluster=partial(dial, host, port, cluster_key()))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._paint, name="replica", daemon=True)
        self._thread.start()

    def check_health(self) -> None:
        """Tell Ray Serve that it paints; RuntimeError if it does not."""
        if not self._thread.is_alive():
            raise RuntimeError(f"the replica has stopped: {self._error}")

    def __del__(self) -> None:
        """Finish the job under way; Ray Serve calls it when a replica is taken down."""
        self._guest.leave()
        self._thread.join(DRAIN_S)

    def _paint(self) -> None:
        try:
            self._guest.run()
        except Exception as error:  # noqa: BLE001  told by check_health
            self._error = error


def bind_replica(plan: ReplicaPlan, host: str, port: int) -> Any:
    """Return the application of such replicas."""
    return serve.deployment(ServedReplica, name=DEPLOYMENT).bind(plan, host, port)

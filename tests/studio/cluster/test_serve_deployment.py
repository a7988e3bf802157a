"""Replicas that Ray Serve starts, and starts anew. Needs the extra `cluster`, which `make` does not install."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.studio.cluster.replicas import Asked, gathered, requests, slow_plan, wait_for

from allaprima.studio.cluster.meeting_point import KEY_VARIABLE, MeetingPoint, cluster_key
from allaprima.studio.engine.messages import Done

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture
def ray_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    ray = pytest.importorskip("ray")
    serve = pytest.importorskip("ray.serve")
    for name, value in {
        KEY_VARIABLE: "0123456789abcdef", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled",
        "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield
    serve.shutdown()
    ray.shutdown()
    gc.collect()  # its processes' warnings, before they are held against another test


@pytest.mark.usefixtures("ray_key")
def test_ray_serve_starts_replicas_that_join_and_another_for_one_that_dies() -> None:
    from ray import serve

    from allaprima.studio.cluster.serve_deployment import bind_replica

    with gathered(0) as group:
        point = MeetingPoint("127.0.0.1", 0, cluster_key(), group.cluster.join)
        with closing(point):
            application = bind_replica(slow_plan(), "127.0.0.1", point.port)
            serve.start(proxy_location="Disabled")
            serve.run(application, name="allaprima", route_prefix=None)
            wait_for(lambda: len(group.cluster.pids) == 1)
            (first,) = group.cluster.pids
            asked = Asked()
            group.cluster.submit(requests(50), asked.hear)
            wait_for(lambda: bool(asked.updates))
            os.kill(first, signal.SIGKILL)
            done = asked.end()
            assert isinstance(done, Done)
            assert len(done.pictures) == 50
            assert group.cluster.pids != (first,)

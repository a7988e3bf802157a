"""The page for Prometheus: the engine's numbers and the server's own, read at the moment of asking."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from allaprima.studio.engine.stats import LATENCY_BOUNDS_MS, Snapshot
from allaprima.studio.server.studio import Studio

PREFIX = "allaprima"


class StudioCollector(Collector):
    """The counts of a studio as metrics; nothing is counted twice."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        snapshot = self._studio.engine.stats()
        for name, value in snapshot.counters.items():
            text = f"The engine's count of {name.replace('_', ' ')}."
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
        yield _latency(snapshot)
        gauges = {
            "live_sessions": ("Live sockets open.", snapshot.sessions),
            "queue_jobs_waiting": ("Jobs that are not begun.", snapshot.jobs_waiting),
            "queue_jobs_running": ("Jobs that are painted.", snapshot.jobs_running),
            "replicas": ("Engines that paint.", snapshot.replicas),
            "gallery_pictures": ("Pictures in the gallery.", len(self._studio.gallery)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
        text, missed = "Frames that a slow reader was not sent.", self._studio.frames_missed
        yield CounterMetricFamily(f"{PREFIX}_frames_missed", text, value=missed)
        refused = CounterMetricFamily(f"{PREFIX}_refused", "Requests refused at the door.", labels=["reason"])
        for reason, count in self._studio.refused.items():
            refused.add_metric([reason], count)
        yield refused


def metrics_page(studio: Studio) -> Response:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StudioCollector(studio))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _latency(snapshot: Snapshot) -> HistogramMetricFamily:
    total, buckets = 0, []
    for bound, count in zip(LATENCY_BOUNDS_MS, snapshot.latency_counts, strict=False):
        total += count
        buckets.append((str(bound / 1000), float(total)))
    buckets.append(("+Inf", float(sum(snapshot.latency_counts))))
    return HistogramMetricFamily(
        f"{PREFIX}_live_latency_seconds",
        "From a prompt to the JPEG of its first frame.",
        buckets=buckets,
        sum_value=snapshot.latency_sum_ms / 1000,
    )

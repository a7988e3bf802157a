"""The numbers for Prometheus."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families
from tests.studio.server.clients import paint
from tests.studio.server.conftest import Served
from websockets.sync.client import connect

PAINT = "/v1/images/generations"
JOB = {"prompt": "a cat"}


def test_refusals_are_counted_for_the_metrics(served: Served) -> None:
    with served.client() as client:
        client.get("/", headers={"host": "evil.example"})
        client.post(PAINT, json=JOB, headers={"origin": "null"})
        text = client.get("/metrics").text
    assert 'allaprima_refused_total{reason="host"} 1.0' in text
    assert 'allaprima_refused_total{reason="origin"} 1.0' in text


def test_metrics_can_be_read_by_prometheus(served: Served) -> None:
    paint(served)
    with connect(f"ws://127.0.0.1:{served.port}/live", proxy=None) as socket:
        settings = {"width": 128, "height": 64, "steps": 1}
        socket.send(json.dumps({"sequence": 1, "prompt": "a cat", "settings": settings}))
        socket.recv(timeout=10)
        with served.client() as client:
            answer = client.get("/metrics")
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["allaprima_pictures_total", None] == 1
    assert samples["allaprima_frames_total", None] == 1
    assert samples["allaprima_live_sessions", None] == 1
    assert samples["allaprima_gallery_pictures", None] == 1
    assert samples["allaprima_live_latency_seconds_count", None] == 1
    assert samples["allaprima_live_latency_seconds_bucket", "+Inf"] == 1

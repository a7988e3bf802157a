"""Streams of events: they begin before the picture is there, and end with their reader."""

from __future__ import annotations

from tests.studio.server.conftest import PacedBase, Serve, Served


def test_a_stream_without_partial_pictures_begins_before_the_picture_is_there(served: Served) -> None:
    served.base.held.set()
    body = {"prompt": "a cat", "stream": True}
    with served.client() as client, client.stream("POST", "/v1/images/generations", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        served.base.held.clear()
        lines = [line for line in answer.iter_lines() if line.startswith("event: ")]
    assert lines == ["event: image_generation.completed"]


def test_a_stream_that_is_left_cancels_its_job(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    body = {"prompt": "a cat", "steps": 150, "stream": True, "partial_images": 3}
    with served.client() as client, client.stream("POST", "/v1/images/generations", json=body) as answer:
        assert next(answer.iter_lines()).startswith("event: image_generation.partial_image")
    served.wait_for(lambda: served.studio.engine.stats().counters["jobs_cancelled"] == 1)
    assert served.studio.jobs.tickets == {}

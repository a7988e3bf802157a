"""The page's routes: what was painted is found, shown, opened again and deleted; metrics tell what happened."""

from __future__ import annotations

import asyncio
import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.types import Message
from tests.studio.server.conftest import PacedBase, Serve, Served
from websockets.sync.client import connect

from allaprima.core.request import GenerationRequest
from allaprima.studio.server.jobs import Jobs, Kept
from allaprima.studio.server.settings import Caps

REQUEST = {"prompt": "a cat on a roof", "width": 128, "height": 64, "steps": 2, "guidance": 1.0}


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def paint(served: Served, **values: Any) -> dict[str, Any]:
    with served.client() as client:
        answer = client.post("/api/jobs", json={"request": {**REQUEST, **values}})
    name, data = events_of(answer.text)[-1]
    assert name == "done", answer.text
    entry: dict[str, Any] = data["pictures"][0]
    return entry


def test_a_job_tells_its_position_its_steps_and_its_pictures(served: Served) -> None:
    with served.client() as client:
        body = {"request": REQUEST, "count": 2, "previews": True}
        answer = client.post("/api/jobs", json=body)
    events = events_of(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    steps = [(data["picture"], data["step"]) for name, data in events if name == "progress"]
    assert steps == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert [data["preview"] is None for name, data in events if name == "progress"][:2] == [True, False]
    name, done = events[-1]
    assert name == "done"
    first, second = (GenerationRequest.from_json(one["request"]) for one in done["pictures"])
    assert second.seed == first.seed + 1


def test_waiting_jobs_have_positions_and_can_be_cancelled(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.05))
    body = {"request": {**REQUEST, "steps": 30}}
    with (
        served.client() as client,
        client.stream("POST", "/api/jobs", json=body) as running,
        client.stream("POST", "/api/jobs", json=body) as waiting,
    ):
        served.wait_for(lambda: len(served.studio.jobs.tickets) == 2)
        jobs = client.get("/api/jobs").json()["jobs"]
        assert [job["prompt"] for job in jobs] == ["a cat on a roof"] * 2
        assert client.delete(f"/api/jobs/{jobs[1]['id']}").status_code == 204
        assert client.delete("/api/jobs/none").status_code == 404
        assert events_of(waiting.read().decode())[-1][0] == "cancelled"
        assert events_of(running.read().decode())[-1][0] == "done"


def test_a_job_has_its_position_before_the_engine_looks_up(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=1.0))
    with served.client() as client, ThreadPoolExecutor(3) as pool:
        tickets = served.studio.jobs.tickets
        answers = []
        for _ in range(3):
            answers.append(pool.submit(client.post, "/api/jobs", json={"request": REQUEST}))
            served.wait_for(lambda: len(tickets) == len(answers))
        served.wait_for(lambda: next(iter(tickets.values())).position is None)
        jobs = client.get("/api/jobs").json()["jobs"]
        for job in jobs:
            client.delete(f"/api/jobs/{job['id']}")
    assert [job["position"] for job in jobs] == [None, 0, 1]
    assert {answer.result().status_code for answer in answers} == {200}


def test_the_gallery_finds_opens_and_deletes(served: Served) -> None:
    cat, lion = paint(served, seed=1), paint(served, prompt="a lion", seed=2)
    with served.client() as client:
        found = client.get("/api/gallery", params={"query": "roof"}).json()
        assert [one["id"] for one in found["pictures"]] == [cat["id"]]
        assert found["total"] == 1
        page = client.get("/api/gallery", params={"limit": 1}).json()
        assert [one["id"] for one in page["pictures"]] == [lion["id"]]
        assert page["total"] == 2
        rest = client.get("/api/gallery", params={"limit": 1, "before": page["next"]}).json()
        assert [one["id"] for one in rest["pictures"]] == [cat["id"]]
        entry = client.get(f"/api/gallery/{cat['id']}").json()
        again = paint(served, **entry["request"])
        assert client.get(again["url"]).content == client.get(cat["url"]).content
        assert client.delete(f"/api/gallery/{cat['id']}").status_code == 204
        assert client.delete(f"/api/gallery/{cat['id']}").status_code == 404
        assert client.get(cat["url"]).status_code == 404
        assert client.get("/api/gallery", params={"limit": 0}).status_code == 400


def test_pictures_come_in_every_format_and_small(served: Served) -> None:
    entry = paint(served)
    with served.client() as client:
        for suffix, kind in (("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("thumbnail", "JPEG")):
            answer = client.get(f"/pictures/{entry['id']}.{suffix}")
            assert "immutable" in answer.headers["cache-control"]
            with Image.open(io.BytesIO(answer.content)) as image:
                assert image.format == kind
                assert answer.headers["content-type"] == f"image/{kind.lower()}"


def test_a_job_that_is_refused_has_its_own_status(served: Served) -> None:
    with served.client() as client:
        assert client.post("/api/jobs", json={"request": {"prompt": ""}}).status_code == 400
        assert client.post("/api/jobs", json={"request": REQUEST, "count": 17}).status_code == 400
        assert client.post("/api/jobs", json={"request": {**REQUEST, "path": "/x"}}).status_code == 400
        answer = client.post("/api/jobs", json={"request": {**REQUEST, "width": 64}})
    assert events_of(answer.text)[-1][0] == "error"
    assert "expected 256x256 or 128x64" in answer.text


def test_the_configuration_tells_bounds_and_no_paths(served: Served) -> None:
    with served.client() as client:
        config = client.get("/api/config").json()
        assert config["bases"][0]["name"] == "vignette"
        assert config["caps"]["live_steps"] == 8
        assert config["login"] is False
        assert client.get("/api/loras").json() == {"loras": []}
        assert str(served.gallery_folder) not in client.get("/api/config").text


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


def test_each_picture_is_kept_as_it_is_finished(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    body = {"request": {**REQUEST, "steps": 20}, "count": 3}
    with served.client() as client, client.stream("POST", "/api/jobs", json=body):
        served.wait_for(lambda: len(served.studio.gallery) == 1)
        assert len(served.studio.jobs.tickets) == 1  # the others are still to come
    served.wait_for(lambda: not served.studio.jobs.tickets)  # the client has left
    kept = len(served.studio.gallery)
    assert 1 <= kept < 3
    assert len(list(served.gallery_folder.glob("*.png"))) == kept


def test_pictures_are_kept_whether_or_not_their_client_reads(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.002))
    jobs = Jobs(engine=served.studio.engine, gallery=served.studio.gallery, caps=Caps())
    requests = [GenerationRequest.from_json(REQUEST | {"seed": seed, "steps": 60}) for seed in range(3)]

    async def read_once() -> None:
        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        http = Request({"type": "http", "client": ("127.0.0.1", 1), "headers": []}, receive)
        async with aclosing(jobs.run(requests, http, family="page", previews=True)) as steps:
            first = await anext(steps)  # and no more, as where sending it blocks
            assert not isinstance(first, Kept)
            await asyncio.to_thread(served.wait_for, lambda: len(served.studio.gallery) == 3)
            (ticket,) = jobs.tickets.values()
            assert ticket.share > 0.9
            heard = [step async for step in steps]
        assert isinstance(heard[-1], Kept)
        assert len(heard) < 3 * 60  # progress that nobody read has made way for newer

    with ThreadPoolExecutor() as pool:  # the browser's tests leave this thread a loop that runs
        pool.submit(asyncio.run, read_once()).result()
    assert not jobs.tickets

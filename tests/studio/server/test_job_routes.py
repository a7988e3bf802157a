"""The page's jobs: position, steps, pictures, and their end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.studio.server.clients import REQUEST, events_of
from tests.studio.server.conftest import PacedBase, Serve, Served

from allaprima.core.request import GenerationRequest


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


def test_the_list_of_jobs_tells_what_will_not_be_honoured(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.05))
    body = {"request": {**REQUEST, "steps": 30, "guidance": 0.5}}
    with served.client() as client, client.stream("POST", "/api/jobs", json=body) as running:
        served.wait_for(lambda: any(job["share"] for job in client.get("/api/jobs").json()["jobs"]))
        (job,) = client.get("/api/jobs").json()["jobs"]
        (remark,) = job["remarks"]
        assert remark.startswith("guidance 0.5 is none")
        client.delete(f"/api/jobs/{job['id']}")
        assert events_of(running.read().decode())[-1][0] == "cancelled"


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


def test_a_job_that_is_refused_has_its_own_status(served: Served) -> None:
    with served.client() as client:
        assert client.post("/api/jobs", json={"request": {"prompt": ""}}).status_code == 400
        assert client.post("/api/jobs", json={"request": REQUEST, "count": 17}).status_code == 400
        assert client.post("/api/jobs", json={"request": {**REQUEST, "path": "/x"}}).status_code == 400
        answer = client.post("/api/jobs", json={"request": {**REQUEST, "width": 64}})
    assert events_of(answer.text)[-1][0] == "error"
    assert "expected 256x256 or 128x64" in answer.text

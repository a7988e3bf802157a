"""Jobs and their clients: what is finished is kept, and who leaves cancels."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest
import torch
from starlette.requests import Request
from starlette.types import Message
from tests.studio.server.clients import REQUEST, events_of, openai_client
from tests.studio.server.conftest import PacedBase, Serve

from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import TextStates
from allaprima.studio.engine.messages import Done
from allaprima.studio.server.jobs import Jobs, Kept
from allaprima.studio.server.settings import Caps, ServerSettings


def test_a_client_that_leaves_cancels_its_job(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    with served.client() as client, pytest.raises(httpx2.ReadTimeout):
        client.post("/v1/images/generations", json={"prompt": "a cat", "steps": 150}, timeout=0.3)
    served.wait_for(lambda: served.studio.engine.stats().counters["jobs_cancelled"] == 1)
    assert served.studio.jobs.tickets == {}
    assert served.studio.engine.stats().jobs_running == 0


def test_a_client_may_not_fill_the_queue(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(jobs_per_client=2)))
    served.base.held.set()
    statuses: list[int] = []

    def ask() -> None:
        with served.client() as client:
            statuses.append(client.post("/v1/images/generations", json={"prompt": "a cat"}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    served.wait_for(lambda: len(served.studio.jobs.tickets) == 2)
    with openai_client(served) as client, pytest.raises(openai.RateLimitError):
        client.images.generate(prompt="a cat")
    served.base.held.clear()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]


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
        async with aclosing(jobs.run(requests, http, api="page", previews=True)) as steps:
            first = await anext(steps)  # and no more, as where sending it blocks
            assert not isinstance(first, Kept)
            await asyncio.to_thread(served.wait_for, lambda: len(served.studio.gallery) == 3)
            (ticket,) = jobs.tickets.values()
            assert ticket.share > 0.9
            heard = [step async for step in steps]
        assert isinstance(heard[-1], Done)
        assert sum(len(step.pictures) for step in heard if isinstance(step, Kept)) == 3
        assert len(heard) < 3 * 60  # progress that nobody read has made way for newer

    with ThreadPoolExecutor() as pool:  # the browser's tests leave this thread a loop that runs
        pool.submit(asyncio.run, read_once()).result()
    assert not jobs.tickets


def stream_of(client: httpx2.Client, **body: object) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a stream from OpenAI's route."""
    asked = {"prompt": "a cat", "stream": True, **body}
    return events_of(client.post("/v1/images/generations", json=asked).text)


@dataclass
class StoppingBase(PacedBase):
    """A PacedBase that is held at one prediction until somebody lets it go."""

    stop_at: int = 4
    """The predictions before it."""

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        if len(self.passes) == self.stop_at:
            self.held.set()
        return super().predict(latents, t, text)


def test_each_picture_of_a_stream_is_sent_when_it_is_done(serve: Serve) -> None:
    served = serve(base=StoppingBase())
    body = {"prompt": "a cat", "steps": 4, "n": 2, "stream": True}
    with served.client() as client, client.stream("POST", "/v1/images/generations", json=body) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == "event: image_generation.completed")
        assert len(served.studio.jobs.tickets) == 1  # the job goes on
        served.base.held.clear()
        assert sum(line == "event: image_generation.completed" for line in lines) == 1


def test_a_cancelled_job_stays_cancelled_whatever_its_client_repeats(serve: Serve) -> None:
    served = serve(base=StoppingBase())
    with ThreadPoolExecutor() as pool:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", timeout=20)  # with its retries
        asked = pool.submit(client.images.generate, prompt="a cat", extra_body={"steps": 150})
        served.wait_for(served.base.held.is_set)
        next(iter(served.studio.jobs.tickets.values())).cancel()
        served.base.held.clear()
        with pytest.raises(openai.ConflictError):
            asked.result()
    assert served.studio.engine.stats().counters["jobs_cancelled"] == 1


def test_who_waits_is_told_that_the_studio_closes(serve: Serve) -> None:
    served = serve(base=StoppingBase())
    body = {"prompt": "a cat", "steps": 4, "n": 4}
    with served.client() as client, ThreadPoolExecutor() as pool:
        streamed = pool.submit(stream_of, client, **body)
        served.wait_for(served.base.held.is_set)
        served.wait_for(lambda: len(served.studio.gallery) == 1)
        plain = pool.submit(client.post, "/v1/images/generations", json=body)
        served.wait_for(lambda: len(served.studio.jobs.tickets) == 2)
        served.stop()
        served.base.held.clear()
        assert plain.result().status_code == 503
        assert int(plain.result().headers["retry-after"]) > 0
        name, data = streamed.result()[-1]
    assert "1 of 4 pictures are kept" in data["error"]["message"]
    assert (name, data["error"]["code"]) == ("error", "closing")


@pytest.mark.parametrize(
    ("route", "seeds", "interrupted"), [("skip", [5, 7], False), ("interrupt", [5], True)]
)
def test_what_is_done_is_sent(serve: Serve, route: str, seeds: list[int], interrupted: bool) -> None:
    served = serve(base=StoppingBase())
    body = {"prompt": "a cat", "steps": 4, "n_iter": 3, "seed": 5}
    with served.client() as client, ThreadPoolExecutor() as pool:
        assert client.post(f"/sdapi/v1/{route}").json() == {}  # there is nothing yet
        asked = pool.submit(client.post, "/sdapi/v1/txt2img", json=body)
        served.wait_for(served.base.held.is_set)
        client.post(f"/sdapi/v1/{route}")
        served.base.held.clear()
        answer = asked.result().json()
    info = json.loads(answer["info"])
    assert (info["all_seeds"], info["interrupted"]) == (seeds, interrupted)
    assert len(answer["images"]) == len(served.studio.gallery) == len(seeds)

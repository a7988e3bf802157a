"""Jobs and their clients: what is finished is kept, and who leaves cancels."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import httpx2
import openai
import pytest
from starlette.requests import Request
from starlette.types import Message
from tests.studio.server.clients import REQUEST, openai_client
from tests.studio.server.conftest import PacedBase, Serve

from allaprima.core.request import GenerationRequest
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
        assert isinstance(heard[-1], Kept)
        assert len(heard) < 3 * 60  # progress that nobody read has made way for newer

    with ThreadPoolExecutor() as pool:  # the browser's tests leave this thread a loop that runs
        pool.submit(asyncio.run, read_once()).result()
    assert not jobs.tickets

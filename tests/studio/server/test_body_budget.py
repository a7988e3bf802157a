"""All bodies together: what holds back gives way to what comes."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

from tests.studio.server.conftest import Serve, Served

from allaprima.studio.server.settings import Caps, ServerSettings

MB = 2**20
HEAD = (
    b"POST /sdapi/v1/png-info HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


def unfinished(served: Served, num_bytes: int) -> socket.socket:
    """Begin a body and stop short of its end."""
    raw = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    raw.sendall(HEAD % (num_bytes + 10) + b" " * num_bytes)
    return raw


def test_the_oldest_unfinished_bodies_give_way(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(all_bodies_bytes=10 * MB)))
    with ExitStack() as stack, served.client() as client:
        held = [stack.enter_context(unfinished(served, 4 * MB)) for _ in range(5)]
        for raw in held[:3]:
            assert raw.recv(100).split()[1] == b"503"
        body = json.dumps({"image": "A" * (4 * MB)})
        headers = {"content-type": "application/json"}
        assert (
            client.post("/sdapi/v1/png-info", content=body, headers=headers).status_code == 400
        )  # no picture
        assert client.post("/sdapi/v1/txt2img", json={"prompt": "a cat"}).status_code == 200


def test_whole_bodies_are_never_given_up_for_others(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(all_bodies_bytes=6 * MB)))
    served.base.held.set()
    body = {"init_images": ["A" * (5 * MB)], "prompt": "a cat"}
    with served.client() as client, unfinished(served, 3 * MB):
        # A body alone may be as large as its route allows, whatever is under way.
        assert client.post("/sdapi/v1/img2img", json=body).status_code == 400
    served.base.held.clear()


def test_bodies_are_read_at_a_pace_that_leaves_time_to_paint(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(upload_bytes=2 * MB, all_bodies_bytes_per_s=2 * MB)))
    body = json.dumps({"image": "A" * MB})
    headers = {"content-type": "application/json"}
    times = []
    with served.client() as client:
        for _ in range(6):  # four are a burst
            begun = time.perf_counter()
            answer = client.post("/sdapi/v1/png-info", content=body, headers=headers)
            times.append(time.perf_counter() - begun)
            assert answer.status_code == 400  # no picture
    assert sum(times[4:]) >= 0.5

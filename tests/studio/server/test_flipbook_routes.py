"""A session's frames come back as one animated picture; what is no picture is refused."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image
from tests.studio.server.conftest import Served
from tests.studio.server.pictures import png_bytes

from allaprima.studio.server import flipbook_routes
from allaprima.studio.server.uploads import fit


@dataclass
class Binding:
    """How far the binder is, and how fast."""

    opened: int = 0
    pace_s: float = 0.0
    go: threading.Event = field(default_factory=threading.Event)


def frame(color: tuple[int, int, int], size: tuple[int, int] = (32, 24), ms: int = 100) -> dict[str, Any]:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG", quality=95)
    return {"jpeg": base64.b64encode(out.getvalue()).decode(), "duration_ms": ms}


def post(served: Served, frames: list[dict[str, Any]]) -> Any:
    with served.client() as client:
        return client.post("/api/flipbooks", json={"frames": frames})


def test_every_page_is_there_for_its_time_and_as_large_as_the_last(served: Served) -> None:
    frames = [frame((250, 0, 0), ms=60), frame((0, 250, 0), (24, 24), ms=200), frame((0, 0, 250), ms=1600)]
    answer = post(served, frames)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as book:
        assert (book.size, getattr(book, "n_frames", 1)) == ((32, 24), 3)
        shown = []
        for number in range(3):
            book.seek(number)
            book.load()
            middle = book.convert("RGB").getpixel((16, 12))
            assert isinstance(middle, tuple)
            shown.append((max(range(3), key=lambda channel: middle[channel]), book.info["duration"]))
    assert shown == [(0, 60), (1, 200), (2, 1600)]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [{"jpeg": "no picture", "duration_ms": 100}],
        [{"jpeg": "AAAA", "duration_ms": 100}],
        [frame((0, 0, 0), ms=1)],
        [{**frame((0, 0, 0)), "path": "/etc/passwd"}],
        [frame((0, 0, 0))] * (flipbook_routes.MAX_PAGES + 1),
    ],
)
def test_what_is_no_book_is_refused(served: Served, frames: list[dict[str, Any]]) -> None:
    assert 400 <= post(served, frames).status_code < 500


def flat_page(width: int, height: int) -> dict[str, Any]:
    return {"jpeg": base64.b64encode(png_bytes(width, height)).decode(), "duration_ms": 100}


def test_pages_count_at_their_own_size_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small last page once let any number of large ones through."""
    monkeypatch.setattr(flipbook_routes, "MAX_PIXELS", 100 * 100)
    small, large = flat_page(10, 10), flat_page(100, 100)
    assert post(served, [large, small]).status_code == 200
    answer = post(served, [large, large, large, small])
    assert answer.status_code == 400
    assert "4 pages of 30,100 pixels in all; expected at most 20,000" in answer.json()["error"]["message"]


def test_a_page_is_no_larger_than_what_is_painted(served: Served) -> None:
    assert "4096x4096" in post(served, [flat_page(4096, 4096), flat_page(16, 16)]).text


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Binding]:
    """Return what is known of the pages that are opened; none goes on before `go` is set."""
    known = Binding()

    def slowly(*arguments: Any) -> Image.Image:
        known.opened += 1
        assert known.go.wait(20)
        time.sleep(known.pace_s)
        return fit(*arguments)

    monkeypatch.setattr(flipbook_routes, "fit", slowly)
    yield known
    known.go.set()


def test_a_client_has_few_books_at_once(served: Served, binding: Binding) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.append(post(served, [frame((0, 0, 0))] * 2).status_code)

    threads = [threading.Thread(target=ask) for _ in range(served.studio.settings.caps.books_per_client)]
    for thread in threads:
        thread.start()
    served.wait_for(lambda: binding.opened == 1)
    served.wait_for(lambda: sum(served.studio.books._open.values()) == len(threads))
    answer = post(served, [frame((0, 0, 0))])
    assert answer.status_code == 429
    assert "retry-after" in answer.headers
    binding.go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(threads)
    assert not served.studio.books._open


def test_a_book_ends_when_its_client_leaves(served: Served, binding: Binding) -> None:
    binding.pace_s = 0.05
    binding.go.set()
    body = json.dumps({"frames": [frame((0, 0, 0))] * 200}).encode()
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        head = f"POST /api/flipbooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        served.wait_for(lambda: binding.opened > 0)
    served.wait_for(lambda: not served.studio.books._open)
    assert binding.opened < 150
    assert post(served, [frame((0, 0, 0))]).status_code == 200


def test_a_book_of_too_many_pixels_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flipbook_routes, "MAX_PIXELS", 32 * 24)
    assert post(served, [frame((0, 0, 0))] * 2).status_code == 400

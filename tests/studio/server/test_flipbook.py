"""A session's frames come back as one animated picture; what is no picture is refused."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from tests.studio.server.conftest import Served

from allaprima.studio.server import flipbook_routes


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


def test_a_book_of_too_many_pixels_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flipbook_routes, "MAX_PIXELS", 32 * 24)
    assert post(served, [frame((0, 0, 0))] * 2).status_code == 400

"""Kept and sent pictures are retouched on the engine's thread, a tile at a time."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from tests.studio.server.clients import REQUEST, events_of, paint
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.pictures import png_bytes
from tests.tiny_upscaler import write_upscaler

from allaprima.core.picture import Picture
from allaprima.core.picture_files import read_history
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Repaint, Upscale
from allaprima.studio.engine.messages import RetouchOrder

TWICE = [{"operation": "upscale", "scale": 2, "upscaler": "tiny"}]


@pytest.fixture
def with_upscaler(served: Served, tmp_path: Path) -> Served:
    write_upscaler(tmp_path / "models" / "upscale_models" / "tiny.safetensors")
    return served


def sent(width: int = 20, height: int = 10, mode: str = "RGB") -> str:
    return base64.b64encode(png_bytes(width, height, mode)).decode()


def size_of(image: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(image))) as opened:
        return opened.size


def test_a_kept_picture_is_retouched_and_kept_with_its_history(with_upscaler: Served) -> None:
    entry = paint(with_upscaler)
    with with_upscaler.client() as client:
        answer = client.post("/api/retouch", json={"picture": entry["id"], "operations": TWICE})
        events = events_of(answer.text)
        assert [name for name, _ in events][-2:] == ["progress", "done"]
        assert events[-2][1] == {"step": 100, "total": 100}
        done = events[-1][1]
        file = client.get(done["picture"]["url"]).content
    assert base64.b64decode(done["image"]) == file
    history = read_history(file)
    assert history.operations == (Upscale(upscaler="tiny"),)
    assert history.request == GenerationRequest.from_json(entry["request"])
    assert size_of(done["image"]) == (2 * 128, 2 * 64)
    assert with_upscaler.studio.gallery.count() == 2


def test_a_sent_picture_comes_back_and_is_not_kept(with_upscaler: Served) -> None:
    with with_upscaler.client() as client:
        answer = client.post("/api/retouch", json={"image": sent(mode="RGBA"), "operations": TWICE})
        assert client.get("/api/upscalers").json() == {"upscalers": ["vignette", "tiny"]}
    name, done = events_of(answer.text)[-1]
    assert (name, done["picture"], size_of(done["image"])) == ("done", None, (40, 20))
    assert with_upscaler.studio.gallery.count() == 0


def test_a_kept_picture_is_painted_over_by_its_own_base(with_upscaler: Served) -> None:
    entry = paint(with_upscaler)
    over = [{"operation": "repaint", "strength": 0.5}]
    with with_upscaler.client() as client:
        name, done = events_of(
            client.post("/api/retouch", json={"picture": entry["id"], "operations": over}).text
        )[-1]
        assert name == "done"
        assert read_history(base64.b64decode(done["image"])).operations == (Repaint(strength=0.5),)
        large = [*TWICE, *over]
        answer = client.post("/api/retouch", json={"picture": entry["id"], "operations": large})
        assert "expected 256x256 or 128x64" in events_of(answer.text)[-1][1]["error"]["message"]
        other = Picture(request=GenerationRequest(prompt="x", base="other"), width=1, height=1, rgb=bytes(3))
        image = base64.b64encode(other.encode()).decode()
        answer = client.post("/api/retouch", json={"image": image, "operations": over})
        assert "got base 'other'" in answer.text


def test_a_retouch_waits_its_turn_and_can_be_cancelled(serve: Serve, tmp_path: Path) -> None:
    write_upscaler(tmp_path / "models" / "upscale_models" / "tiny.safetensors")
    served = serve()
    served.base.held.set()
    with (
        served.client() as client,
        client.stream("POST", "/api/jobs", json={"request": REQUEST}) as painting,
        client.stream("POST", "/api/retouch", json={"image": sent(), "operations": TWICE}) as waiting,
    ):
        served.wait_for(lambda: len(served.studio.jobs.tickets) == 2)
        second = client.get("/api/jobs").json()["jobs"][1]
        assert (second["prompt"], second["pictures"]) == ("", 1)
        assert client.delete(f"/api/jobs/{second['id']}").status_code == 204
        served.base.held.clear()
        assert events_of(waiting.read().decode())[-1][0] == "cancelled"
        assert events_of(painting.read().decode())[-1][0] == "done"


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ({"operations": TWICE}, 400, "expected one: an id, or base64"),
        ({"picture": "none", "operations": TWICE}, 404, "no such picture"),
        ({"image": "AAAA", "operations": TWICE}, 400, "expected a PNG"),
        ({"image": sent(), "operations": [{"operation": "melt"}]}, 400, "expected an operation"),
        ({"image": sent(), "operations": []}, 400, "nothing to do"),
        ({"image": sent(3000, 3000), "operations": TWICE}, 400, "6000x6000 pixels to make"),
        (
            {"image": sent(1, 9000), "operations": TWICE},
            400,
            "expected at most 16,777,216 in all and 16,384 a side",
        ),
    ],
)
def test_what_cannot_be_retouched_is_told(
    with_upscaler: Served, body: dict[str, object], status: int, complaint: str
) -> None:
    with with_upscaler.client() as client:
        answer = client.post("/api/retouch", json=body)
    assert complaint in answer.text
    if status != 400 or not answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.status_code == status


def test_a_client_names_no_file_of_the_server(with_upscaler: Served, tmp_path: Path) -> None:
    outside = write_upscaler(tmp_path / "elsewhere.safetensors")
    operations = [{"operation": "upscale", "upscaler": str(outside)}]
    with with_upscaler.client() as client:
        answer = client.post("/api/retouch", json={"image": sent(), "operations": operations})
    assert answer.status_code == 400
    assert "expected vignette, tiny" in answer.text


def test_an_order_without_operations_is_refused(with_upscaler: Served) -> None:
    from allaprima.core.errors import RequestError
    from allaprima.core.retouch_source import from_file

    order = RetouchOrder(picture=from_file(png_bytes()), operations=())
    with pytest.raises(RequestError, match="nothing to do"):
        with_upscaler.studio.engine.retouch(order, lambda _update: None)

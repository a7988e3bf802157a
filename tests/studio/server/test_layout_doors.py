"""Layouts at the page's route, OpenAI's, A1111's and the live socket: the same picture, and the same refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import CARD, Serve, Served
from tests.studio.server.live_clients import dial, hear, hear_final, say
from tests.studio.server.test_openai_edits import png
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.layout import Box, PaintedLayout, Thing
from allaprima.core.layout_json import layout_to_json, painted_to_json
from allaprima.paint.painter import Painter
from allaprima.studio.server.studio import LoadedCards

LAYOUT = (
    Thing(kind="sun", box=Box(0.5, -0.1, 1.1, 0.5), layer="behind", color=(255, 204, 0)),
    Thing(kind="cat", box=Box(0.1, 0.4, 0.5, 0.9), number=1),
)
SENT = layout_to_json(LAYOUT)
PAINTED = painted_to_json(PaintedLayout(things=LAYOUT))
WORDS = {"prompt": "a cat", "seed": 3, "steps": 1}
SILENT = "the layout does nothing: vignette reads none"


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Painter]:
    folder: Path = write_tiny_vignette(tmp_path_factory.mktemp("reader") / "weights", reads_layout=True)
    with Painter.load(folder=folder, device="cpu", precision="fp32") as painter:
        yield replace(painter, layout_completion=None)


@pytest.fixture
def reading(serve: Serve, painter: Painter) -> Served:
    return serve(painters={"vignette": painter})


def post(served: Served, path: str, **body: Any) -> dict[str, Any]:
    with served.client() as client:
        answer = client.post(path, json=body)
    return {"status": answer.status_code, **json.loads(answer.text)}


def job(served: Served, **request: Any) -> tuple[str, dict[str, Any]]:
    with served.client() as client:
        answer = client.post("/api/jobs", json={"request": {**WORDS, "guidance": 1.0, **request}})
    if answer.headers["content-type"].startswith("application/json"):
        return "refused", json.loads(answer.text)
    return events_of(answer.text)[-1]


def test_every_door_paints_the_same_layout(reading: Served, painter: Painter) -> None:
    expected = painter("a cat", seed=3, steps=1, guidance=1.0, layout=LAYOUT)
    plain = painter("a cat", seed=3, steps=1, guidance=1.0)
    assert expected.rgb != plain.rgb
    file = expected.encode("png")
    name, done = job(reading, layout=SENT)
    assert name == "done", done
    (kept,) = done["pictures"]
    assert (kept["request"]["layout"], kept["painted_layout"]) == (SENT, PAINTED)
    with reading.client() as client:
        assert client.get(f"/pictures/{kept['id']}.png").content == file
    openai = post(reading, "/v1/images/generations", **WORDS, guidance=1.0, layout=SENT)
    assert base64.b64decode(openai["data"][0]["b64_json"]) == file
    a1111 = post(reading, "/sdapi/v1/txt2img", **WORDS, cfg_scale=1.0, layout=SENT)
    assert base64.b64decode(a1111["images"][0]) == file
    assert "layout" not in json.loads(a1111["info"])["ignored"]
    again = post(reading, "/sdapi/v1/txt2img", infotext=json.loads(a1111["info"])["infotexts"][0])
    assert base64.b64decode(again["images"][0]) == file
    with dial(reading) as socket:
        say(socket, 1, "a cat", width=256, height=256, seed=3, steps=1, guidance=1.0, layout=SENT)
        assert hear_final(socket)["layout"] == PAINTED


def test_clients_are_told_who_reads_layouts(reading: Served) -> None:
    with reading.client() as client:
        (base,) = client.get("/api/config").json()["bases"]
    assert base["reads_layout"]
    loaded = LoadedCards({"vignette": CARD}, reading.studio.engine)
    assert (CARD.reads_layout, loaded["vignette"].reads_layout) == (False, True)


def test_an_edit_keeps_to_its_layout(reading: Served) -> None:
    fields = {**WORDS, "guidance": 1.0, "strength": 1.0}
    picture = png(painted := painter_noise())
    assert painted.size == (256, 256)
    sent = base64.b64encode(picture).decode()
    as_json = post(reading, "/v1/images/edits", **fields, image=sent, layout=SENT)
    without = post(reading, "/v1/images/edits", **fields, image=sent)
    form = {name: str(value) for name, value in fields.items()} | {"layout": json.dumps(SENT)}
    with reading.client() as client:
        as_form = client.post("/v1/images/edits", data=form, files={"image": ("a.png", picture)}).json()
    assert as_form["data"] == as_json["data"] != without["data"]


def painter_noise() -> Any:
    from PIL import Image

    return Image.effect_noise((256, 256), 90).convert("RGB")


def test_use_all_of_a_kept_picture_paints_it_again(reading: Served) -> None:
    _, done = job(reading, layout=SENT, complete_layout=False)
    request = done["pictures"][0]["request"]
    _, again = job(reading, **request)
    assert again["pictures"][0]["request"] == request
    prompt = request.pop("prompt")
    with dial(reading) as socket:
        say(socket, 1, prompt, **{name: value for name, value in request.items() if name != "quality"})
        assert hear_final(socket)["layout"] == PAINTED


def test_a_base_that_reads_none_says_so_at_every_door(served: Served) -> None:
    size = {"width": 128, "height": 64}
    _, done = job(served, **size, layout=SENT)
    assert done["pictures"][0]["remarks"] == [SILENT]
    assert "painted_layout" not in done["pictures"][0]
    openai = post(served, "/v1/images/generations", **WORDS, size="128x64", layout=SENT)
    assert openai["remarks"] == [SILENT]
    info = json.loads(post(served, "/sdapi/v1/txt2img", **WORDS, **size, layout=SENT)["info"])
    assert (info["remarks"], info["ignored"]) == ([SILENT], ["layout"])
    with dial(served) as socket:
        say(socket, 1, "a cat", steps=1, layout=SENT)
        frame = hear(socket)
    assert (frame["remarks"], frame["layout"]) == ([SILENT], None)


BAD = {
    "1e308": '[{"kind": "cat", "box": [0, 0, 1e308, 1]}]',
    "NaN": '[{"kind": "cat", "box": [0, NaN, 1, 1]}]',
    "too many": json.dumps([{"kind": "cat", "box": [0, 0, 1, 1]}] * 1_000),
    "strings": '["cat", "dog"]',
    "half a character": '[{"kind": "\\ud800", "box": [0, 0, 1, 1]}]',
    "deep": "[" * 500 + "]" * 500,
}


@pytest.mark.parametrize("layout", BAD.values(), ids=BAD)
def test_what_is_no_layout_is_refused_at_every_door(served: Served, layout: str) -> None:
    words = '"prompt": "a cat", "steps": 1'
    bodies = {
        "/api/jobs": f'{{"request": {{{words}, "layout": {layout}}}}}',
        "/v1/images/generations": f'{{{words}, "layout": {layout}}}',
        "/sdapi/v1/txt2img": f'{{{words}, "layout": {layout}}}',
    }
    with served.client(content_type="application/json") as client:
        for path, body in bodies.items():
            answer = client.post(path, content=body.encode())
            assert 400 <= answer.status_code < 500, (path, answer.text)
            assert len(answer.text) < 2_000
    with dial(served) as socket:
        socket.send(f'{{"sequence": 1, "prompt": "a", "settings": {{"layout": {layout}}}}}')
        failed = hear(socket)
        assert failed["type"] == "failed"
        say(socket, 2, "a cat", steps=1)
        assert hear(socket)["sequence"] == 2

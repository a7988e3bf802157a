"""What real clients send, with their defaults, and what they read of the answers.

`recorded_clients.json` holds what each program was seen to send, or sends by its source (Open WebUI, SillyTavern and
LibreChat, whose routes and settings are copied out by hand).
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types import image_generate_params
from PIL import Image
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.pictures import png_bytes
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded_clients.json").read_text())
CLIENTS = sorted({one["client"] for one in RECORDED})
MOST_STEPS = 3
MOST_SIDE = 512
"""Of what the tiny SDXL paints here: larger pictures of clients are asked of Vignette alone, which scales."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Painter]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "vignette": Painter.load(folder=write_tiny_vignette(folder / "vignette"), device="cpu"),
        "xl": Painter.load(str(write_tiny_sdxl(folder / "xl")), device="cpu"),
    }


@pytest.fixture(params=["vignette", "xl"])
def with_base(request: pytest.FixtureRequest, serve: Serve, bases: dict[str, Painter]) -> Served:
    painter = bases[request.param]
    return serve(painters={painter.base.name: painter})


def test_every_client_is_there() -> None:
    assert {name.split()[0] for name in CLIENTS} == {
        "LibreChat", "Open", "SillyTavern", "langchain-community", "litellm", "openai", "webuiapi",
    }  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_is_answered(with_base: Served, client: str) -> None:
    name = with_base.studio.first_base.name
    with with_base.client() as http:
        http.timeout = 120
        for one in (one for one in RECORDED if one["client"] == client):
            body = _filled(one["body"], name)
            if name != "vignette" and _side(body) > MOST_SIDE:
                continue
            answer = http.request(one["method"], one["path"], **_sent(one, body))
            assert answer.status_code == 200, (one, answer.text)
            if body is not None and one["path"].endswith("2img"):
                _check_a1111(body, answer.json())
            elif body is not None and one["path"].startswith("/v1/images/"):
                _check_openai(body, answer.text, http)


def _sent(one: dict[str, Any], body: dict[str, Any] | None) -> dict[str, Any]:
    """Return a recorded body as the client's library takes it: JSON, or a form with files."""
    if body is None:
        return {}
    if "files" not in one:
        return {"json": body}
    painted = Picture(request=GenerationRequest(prompt="a cat"), width=64, height=64, rgb=bytes(3 * 64 * 64))
    mask = Image.new("RGBA", (64, 64), "black")
    mask.paste((0, 0, 0, 0), (16, 16, 48, 48))
    out = io.BytesIO()
    mask.save(out, "PNG")
    sent = {"mask": out.getvalue()}
    files = [(name, ("a.png", sent.get(name) or painted.encode(), "image/png")) for name in one["files"]]
    return {"data": body, "files": files}


def _filled(body: dict[str, Any] | None, base: str) -> dict[str, Any] | None:
    if body is None:
        return None
    filled = dict(body)
    if "init_images" in body:
        filled["init_images"] = [base64.b64encode(png_bytes(64, 64)).decode()]
    if "sd_model_checkpoint" in body:
        filled["sd_model_checkpoint"] = base
    if "steps" in body:  # so that it takes no minutes; how many are asked for makes no difference here
        filled["steps"] = min(body["steps"], MOST_STEPS)
    return filled


def _side(body: dict[str, Any] | None) -> int:
    size = (body or {}).get("size", "0x0").replace("auto", "0x0").split("x")
    return max(*map(int, size), int((body or {}).get("width", 0)))


def _size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


def _check_a1111(body: dict[str, Any], answer: dict[str, Any]) -> None:
    info = json.loads(answer["info"])
    asked = (body["width"], body["height"])
    assert _size_of(base64.b64decode(answer["images"][0])) == asked
    assert (info["width"], info["height"]) == asked
    assert info["infotexts"][0].splitlines()[-1].startswith("Steps: ")
    assert isinstance(info["seed"], int)
    rule = body.get("sampler_name")
    assert ("sampler_name" in info["ignored"]) == (rule is not None), "what is not honoured is said"


def _check_openai(body: dict[str, Any], text: str, http: Any) -> None:
    if body.get("stream"):
        name, told = events_of(text)[-1]
        assert name == "image_generation.completed"
        data = base64.b64decode(told["b64_json"])
    else:
        told = json.loads(text)
        (one,) = told["data"]
        by_address = body.get("response_format") == "url" or (
            "response_format" not in body and body.get("model", "").startswith("dall-e")
        )
        data = http.get(one["url"]).content if by_address else base64.b64decode(one["b64_json"])
    if body.get("size") not in (None, "auto"):
        assert "x".join(map(str, _size_of(data))) == body["size"] == told["size"]
    if body.get("model"):
        assert any(body["model"] in remark for remark in told["remarks"])
    assert ("style" in told.get("ignored", [])) == ("style" in body)


DOCUMENTED: dict[str, Any] = {
    "background": "opaque", "complexity": "low", "frame_count": 2, "frame_duration_ms": 100,
    "model": "gpt-image-1", "moderation": "low", "n": 1, "output_compression": 50, "output_format": "webp",
    "partial_images": 0, "prompt": "a cat", "quality": "low",
    "response_format": "b64_json", "safety_identifier": "me", "size": "128x64", "stream": False, "style": "vivid",
    "svg": {}, "user": "me",
}  # fmt: skip
"""A value for each parameter that OpenAI's client documents for pictures from words."""
NOT_HERE = {"complexity", "frame_count", "frame_duration_ms", "svg"}
"""Of pictures that move or are drawings; refused by name."""
REFUSED_VALUES = {
    "background": "transparent",
    "output_format": "svg",
    "size": "wide",
    "n": 11,
    "quality": "best",
}


def test_every_parameter_that_openais_client_documents_is_answered_or_refused_by_name(serve: Serve) -> None:
    kinds = [
        vars(image_generate_params)[name]
        for name in dir(image_generate_params)
        if name.startswith("ImageGenerate")
    ]
    documented = {name for kind in kinds for name in getattr(kind, "__annotations__", {})}
    assert set(DOCUMENTED) == documented
    with serve().client() as http:
        for name, value in DOCUMENTED.items():
            answer = http.post("/v1/images/generations", json={"prompt": "a cat", "steps": 1, name: value})
            if name in NOT_HERE:
                error = answer.json()["error"]
                assert (answer.status_code, error["param"]) == (400, name), answer.text
            else:
                assert answer.status_code == 200, (name, answer.text)
        for name, value in REFUSED_VALUES.items():
            answer = http.post("/v1/images/generations", json={"prompt": "a cat", name: value})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), answer.text

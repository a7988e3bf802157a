"""Pictures to look at, sent to the page's route and to OpenAI's, for bases that look at them and that do not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from PIL import Image
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.test_openai_edits import clear_mask, opened, png
from tests.tiny_klein import write_tiny_klein

from allaprima.core.reference import Reference
from allaprima.paint.bases.flux2_klein.weights import load_flux2_klein
from allaprima.paint.painter import Painter

FACE = Image.effect_noise((80, 64), 90).convert("RGB")
HAT = Image.effect_noise((64, 96), 40).convert("RGB")
PROMPT = "the cat wears the hat"
FIELDS = {"prompt": PROMPT, "steps": 1, "seed": 3}


def sent(*images: Image.Image) -> list[str]:
    return [base64.b64encode(png(image)).decode() for image in images]


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    return Painter(base=load_flux2_klein(write_tiny_klein(tmp_path_factory.mktemp("models") / "klein")))


@pytest.fixture
def looking(serve: Serve, painter: Painter) -> Served:
    return serve(painters={"klein": painter})


def edit(served: Served, **fields: Any) -> dict[str, Any]:
    with served.client() as client:
        answer = client.post("/v1/images/edits", json={**FIELDS, "size": "64x64", **fields})
    return {"status": answer.status_code, **json.loads(answer.text)}


def test_every_door_paints_from_the_same_pictures(looking: Served, painter: Painter) -> None:
    expected = painter(PROMPT, seed=3, steps=1, width=64, height=64, references=[FACE, HAT]).encode("png")
    answer = edit(looking, image=sent(FACE, HAT))
    assert base64.b64decode(answer["data"][0]["b64_json"]) == expected
    assert "remarks" not in answer
    with looking.client() as client:
        body = {"request": {**FIELDS, "width": 64, "height": 64}, "references": sent(FACE, HAT)}
        name, done = events_of(client.post("/api/jobs", json=body).text)[-1]
        assert name == "done"
        (kept,) = done["pictures"]
        assert client.get(f"/pictures/{kept['id']}.png").content == expected
    digests = [Reference.from_image(image).digest for image in (FACE, HAT)]
    assert kept["request"]["references"] == digests


def test_with_a_mask_the_first_picture_is_painted_over_too(looking: Served) -> None:
    mask = base64.b64encode(clear_mask((64, 64), (16, 16, 48, 48))).decode()
    square = FACE.crop((0, 0, 64, 64))
    answer = edit(looking, image=sent(square, HAT), mask=mask)
    painted = opened(answer["data"][0]["b64_json"])
    assert painted.crop((0, 0, 64, 8)).tobytes() == square.crop((0, 0, 64, 8)).tobytes()
    assert painted.crop((20, 20, 40, 40)).tobytes() != square.crop((20, 20, 40, 40)).tobytes()


def test_a_base_that_looks_at_none_says_so(served: Served) -> None:
    with served.client() as client:
        body = {"request": {**FIELDS, "width": 128, "height": 64}, "references": sent(FACE)}
        name, done = events_of(client.post("/api/jobs", json=body).text)[-1]
    assert name == "done"
    assert done["pictures"][0]["remarks"] == ["the reference does nothing: vignette looks at none"]
    answer = edit(served, image=sent(FACE, HAT), size="128x64")
    assert (answer["status"], answer["error"]["message"]) == (
        400,
        "got 2 pictures; expected one picture, for this base",
    )


def test_what_cannot_be_looked_at_is_refused(looking: Served) -> None:
    answer = edit(looking, image=sent(*[HAT] * 11))
    assert (answer["status"], "at most 10" in answer["error"]["message"]) == (400, True)
    answer = edit(looking, image=sent(Image.new("RGB", (32, 32))))
    assert (answer["status"], "got a reference of 32x32" in answer["error"]["message"]) == (400, True)
    with looking.client() as client:
        body = {
            "request": {**FIELDS, "width": 64, "height": 64, "references": [Reference.from_image(HAT).digest]}
        }
        assert "expected it again" in client.post("/api/jobs", json=body).text

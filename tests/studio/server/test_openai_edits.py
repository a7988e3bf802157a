"""Painting over pictures by OpenAI's own client, and the same as JSON."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image
from tests.studio.server.clients import openai_client
from tests.studio.server.conftest import CARD, Serve, Served
from tests.studio.server.lora_files import cards_with

from allaprima.studio.server.openai_variations import STRENGTH
from allaprima.studio.server.settings import Caps, ServerSettings

BOX = (32, 16, 96, 48)
PICTURE = Image.effect_noise((128, 64), 90).convert("RGB")


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def clear_mask(size: tuple[int, int] = (128, 64), box: tuple[int, int, int, int] = BOX) -> bytes:
    """Return a mask as OpenAI describes it: transparent where it is painted."""
    mask = Image.new("RGBA", size, "black")
    mask.paste((0, 0, 0, 0), box)
    return png(mask)


def opened(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64))).convert("RGB")


def outside(image: Image.Image) -> bytes:
    rest = image.copy()
    rest.paste("black", BOX)
    return rest.tobytes()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def post(served: Served, **body: Any) -> httpx2.Response:
    with served.client() as client:
        return client.post("/v1/images/edits", json=body)


def test_openais_client_paints_what_is_transparent(served: Served) -> None:
    with openai_client(served) as client:
        answer = client.images.edit(
            image=png(PICTURE), mask=clear_mask(), prompt="a cat", n=2, size="128x64", response_format="b64_json",
            extra_body={"seed": 7, "steps": 2},
        )  # fmt: skip
    assert answer.data is not None
    assert [picture.model_extra["seed"] for picture in answer.data if picture.model_extra] == [7, 8]
    for picture in answer.data:
        painted = opened(picture.b64_json)
        assert outside(painted) == outside(PICTURE)
        assert painted.crop(BOX).tobytes() != PICTURE.crop(BOX).tobytes()
    assert answer.size == "128x64"
    (path, _) = served.gallery_folder.glob("*.png")
    assert b"Denoising strength: 1.0, Inpaint area: Whole picture" in path.read_bytes()


def test_json_and_a_list_of_one_are_the_same(served: Served) -> None:
    fields: dict[str, Any] = {"prompt": "a cat", "seed": 3, "steps": 2}
    url = {"image_url": f"data:image/png;base64,{text(clear_mask())}"}
    bodies: list[dict[str, Any]] = [
        {"image": text(png(PICTURE)), "mask": text(clear_mask())},
        {"image": [text(png(PICTURE))], "mask": url},
        {"images": [{"image_url": text(png(PICTURE))}], "mask": url},
    ]
    answers = [post(served, **fields, **body) for body in bodies]
    with openai_client(served) as client:
        listed = client.images.edit(
            image=[png(PICTURE)], mask=clear_mask(), prompt="a cat", extra_body={"seed": 3, "steps": 2}
        )
    assert listed.data is not None
    pictures = [opened(answer.json()["data"][0]["b64_json"]).tobytes() for answer in answers]
    assert {*pictures, opened(listed.data[0].b64_json).tobytes()} == {pictures[0]}


def test_without_a_mask_all_of_it_is_painted_over(served: Served) -> None:
    fields: dict[str, Any] = {"prompt": "a cat", "seed": 3, "steps": 8, "image": text(png(PICTURE))}
    changes = []
    more: dict[str, Any]
    for more in ({"strength": 0.1}, {"input_fidelity": "high"}, {}, {"strength": 1.0}):
        painted = opened(post(served, **fields, **more).json()["data"][0]["b64_json"])
        pairs = zip(painted.tobytes(), PICTURE.tobytes(), strict=True)
        changes.append(sum(abs(new - old) for new, old in pairs))
    assert changes == sorted(changes)
    assert len(set(changes)) == 4


def test_a_size_that_is_not_painted_is_put_back_into_the_picture_at_its_own(serve: Serve) -> None:
    served = serve()
    served.studio.bases = {"vignette": replace(CARD, fixed_size=True)}
    large, box = PICTURE.resize((512, 256)), (128, 64, 384, 192)
    body = {
        "prompt": "a cat",
        "steps": 1,
        "image": text(png(large)),
        "mask": text(clear_mask(large.size, box)),
    }
    painted = opened(post(served, **body, size="512x256").json()["data"][0]["b64_json"])
    assert painted.size == (512, 256)
    assert painted.crop(box).tobytes() != large.crop(box).tobytes()
    for image in (painted, large):
        image.paste("black", box)
    assert painted.tobytes() == large.tobytes()


def test_it_streams_under_the_names_of_edits(served: Served) -> None:
    with openai_client(served) as client:
        stream = client.images.edit(
            image=png(PICTURE), mask=clear_mask(), prompt="a cat", stream=True, partial_images=1
        )
        events = list(stream)
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert opened(events[0].b64_json).size == (128, 64)
    assert outside(opened(events[1].b64_json)) == outside(PICTURE)


def test_links_and_loras_work_as_for_pictures_from_words(serve: Serve, tmp_path: Any) -> None:
    served = serve(loras=cards_with(tmp_path / "loras", "ink"))
    with openai_client(served) as client:
        answer = client.images.edit(image=png(PICTURE), prompt="a cat", response_format="url")
        assert answer.data is not None
        url = answer.data[0].url
        # The base of these tests wears none, so that it says which was asked for.
        for loras in ([{"name": "ink", "weight": 0.8}], [{"name": "ink"}]):
            with pytest.raises(openai.APIStatusError, match="LoRA"):
                client.images.edit(image=png(PICTURE), prompt="a cat", extra_body={"loras": loras})
        with pytest.raises(openai.BadRequestError, match="expected a JSON list"):
            client.images.edit(image=png(PICTURE), prompt="a cat", extra_body={"loras": "ink"})
    assert url is not None
    with served.client() as plain:
        assert plain.get(url).status_code == 200


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": None}, "got 0 pictures; expected one picture"),
    ({"image": [text(png(PICTURE))] * 2}, "got 2 pictures; expected one picture"),
    ({"mask": [text(clear_mask())] * 2}, "got 2 masks"),
    ({"image": "%"}, "not base64"),
    ({"image": 7}, "got no text where a picture was to be"),
    ({"image": {"file_id": "x"}}, "got no text where a picture was to be"),
    ({"image": text(b"no picture")}, "got a file that is text; expected a PNG"),
    ({"mask": text(clear_mask((64, 64)))}, "got a mask of 64x64 pixels; expected 128x64"),
    ({"mask": text(png(Image.new("L", (128, 64), 0)))}, "keeps every pixel"),
    ({"prompt": None}, "prompt"),
    ({"n": 11}, "n: "),
    ({"strength": 2.0}, "strength: "),
    ({"size": "64x64"}, "expected 256x256 or 128x64"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_what_cannot_be_painted_is_refused_in_openais_shape(
    served: Served, changes: dict[str, Any], told: str
) -> None:
    body = {"prompt": "a cat", "steps": 1, "image": text(png(PICTURE)), **changes}
    answer = post(served, **{name: value for name, value in body.items() if value is not None})
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["error"]["message"]


def test_forms_are_bounded_and_broken_ones_refused(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(upload_bytes=20_000, upload_pixels=128 * 64)))
    with served.client() as client:
        for files, told in (
            ([("image", ("a.png", bytes(30_000)))], "too large"),
            ([("image", ("a.png", b"x"))] * 18, "Too many files"),
            ([("image", ("a.png", png(Image.new("RGB", (256, 256)))))], "256x256 pixels; expected at most"),
        ):
            answer = client.post("/v1/images/edits", data={"prompt": "a cat"}, files=files)
            assert answer.status_code in (400, 413), answer.text
            assert told in answer.json()["error"]["message"]
        for kind, body in (
            ("multipart/form-data", b"--x"),
            ("multipart/form-data; boundary=x", b"nothing of that kind"),
            ("application/json", b"[1]"),
            ("application/json", b"{"),
            ("text/plain", b"x"),
            ("", b""),
        ):
            answer = client.post("/v1/images/edits", content=body, headers={"content-type": kind})
            assert answer.status_code in (400, 415), (kind, answer.text)
        answer = client.post(
            "/v1/images/generations", data={"prompt": "a cat"}, files=[("image", ("a", b"x"))]
        )
        assert answer.status_code == 415
        foreign = {"origin": "http://evil.example"}
        answer = client.post("/v1/images/edits", files=[("image", ("a", b"x"))], headers=foreign)
        assert answer.status_code == 403


@pytest.mark.filterwarnings(
    "ignore:deprecated:DeprecationWarning"
)  # OpenAI's client says so of its own method
def test_variations_are_painted_from_the_words_that_a_picture_carries(served: Served) -> None:
    with openai_client(served) as client:
        painted = client.images.generate(
            prompt="a red cat", size="128x64", extra_body={"seed": 3, "negative_prompt": "rain"}
        )
        assert painted.data is not None
        picture = base64.b64decode(painted.data[0].b64_json or "")
        varied = client.images.create_variation(image=picture, n=2, response_format="b64_json")
        named = client.images.create_variation(
            image=picture,
            model="dall-e-2",
            extra_body={"prompt": "a dog", "strength": 0.3, "size": "128x64"},
        )
    assert varied.data is not None
    assert named.data is not None
    assert str(named.data[0].url).partition("?")[0].endswith(".png")
    kept = sorted(served.studio.gallery.search("", limit=10), key=lambda entry: entry.created_ms)
    requests = [entry.request for entry in kept]
    assert [one.prompt for one in requests] == ["a red cat"] * 3 + ["a dog"]
    assert [one.negative_prompt for one in requests] == ["rain"] * 3 + [""]
    assert len({one.seed for one in requests[:3]}) == 3
    strengths = [served.studio.gallery.require_init_image(entry.id).strength for entry in kept[1:]]
    assert strengths == [STRENGTH, STRENGTH, 0.3]


def test_a_variation_without_words_is_refused_with_a_way_out(served: Served) -> None:
    with served.client() as client:
        for picture, told in ((png(PICTURE), "carries no request"), (b"none", "cannot be read")):
            answer = client.post(
                "/v1/images/variations", data={"n": "1"}, files=[("image", ("a.png", picture))]
            )
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, "no_words", "prompt")
            assert told in error["message"]
            assert "POST both to /v1/images/edits" in error["message"]

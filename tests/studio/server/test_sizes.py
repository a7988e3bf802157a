"""Sizes that clients have built in and a base does not paint."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.studio.server.conftest import CARD, Serve, Served

from allaprima.core.picture_files import read_request
from allaprima.studio.server.settings import ServerSettings
from allaprima.studio.server.sizes import fit_size
from allaprima.studio.server.studio import PAINTED_SIZE

FIXED = replace(CARD, fixed_size=True)
"""Paints 128 x 64 alone."""


@pytest.mark.parametrize(
    ("given", "base", "painted", "asked"),
    [
        ({}, FIXED, {}, None),
        ({"width": 128, "height": 64}, FIXED, {"width": 128, "height": 64}, None),
        ({"width": 1024, "height": 1024}, FIXED, {"width": 128, "height": 64}, (1024, 1024)),
        ({"height": 512}, FIXED, {"width": 128, "height": 64}, (128, 512)),
        ({"width": 1024, "height": 768}, CARD, {"width": 1024, "height": 768}, None),
        ({"width": 1023, "height": 3}, CARD, {"width": 1024, "height": 8}, (1023, 3)),
        ({"width": 0, "height": 10**6}, FIXED, {"width": 0, "height": 10**6}, None),
        ({"width": "wide", "height": 64}, FIXED, {"width": "wide", "height": 64}, None),
    ],
)
def test_the_nearest_size_is_painted(
    given: dict[str, object], base: object, painted: dict[str, object], asked: tuple[int, int] | None
) -> None:
    fitted, size = fit_size(given, base)  # type: ignore[arg-type]
    assert (fitted, size.asked) == (painted, asked)


def served_fixed(serve: Serve, settings: ServerSettings | None = None) -> Served:
    served = serve(settings)
    served.studio.bases = {CARD.name: FIXED}
    return served


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def test_clients_get_the_size_they_ask_for_and_are_told(serve: Serve, tmp_path: Path) -> None:
    served = served_fixed(serve)
    with served.client() as client:
        body = {"prompt": "a cat", "width": 512, "height": 512, "seed": 3, "steps": 2}
        first = client.post("/sdapi/v1/txt2img", json=body)
        a1111 = first.json()
        asked = {"prompt": "a cat", "size": "512x512", "steps": 2}
        second = client.post("/v1/images/generations", json=asked)
        ours = second.json()
        link = client.post("/v1/images/generations", json={**asked, "model": "dall-e-3"}).json()["data"][0][
            "url"
        ]
        linked = client.get(link).content
        stream = client.post("/v1/images/generations", json={**asked, "stream": True})
        events = stream.text
        fitting = client.post("/v1/images/generations", json={**asked, "size": "128x64"})
    assert {one.headers[PAINTED_SIZE] for one in (first, second, stream)} == {"128x64"}
    assert PAINTED_SIZE not in fitting.headers
    info = json.loads(a1111["info"])
    sent = base64.b64decode(a1111["images"][0])
    for file in (sent, base64.b64decode(ours["data"][0]["b64_json"]), linked):
        assert opened(file).size == (512, 512)
        assert "Painted size: 128x64" in opened(file).info["parameters"]
    assert (
        "Painted size"
        not in opened(base64.b64decode(fitting.json()["data"][0]["b64_json"])).info["parameters"]
    )
    remark = (
        "vignette does not paint 512x512; the picture was painted at 128x64 and scaled, its edges cut off"
    )
    assert (info["width"], info["height"], info["remarks"]) == (512, 512, [remark])
    assert (ours["size"], ours["remarks"]) == ("512x512", [remark])
    assert remark in events
    (tmp_path / "sent.png").write_bytes(sent)
    request = read_request(tmp_path / "sent.png")
    assert (request.width, request.height) == (128, 64)
    for kept in served.gallery_folder.glob("*.png"):
        assert opened(kept.read_bytes()).size == (128, 64)


def test_strict_sizes_refuse(serve: Serve) -> None:
    served = served_fixed(serve, ServerSettings(strict_sizes=True))
    with served.client() as client:
        answer = client.post("/v1/images/generations", json={"prompt": "a cat", "size": "512x512"})
    assert answer.status_code == 400
    assert "got size 512x512" in answer.json()["error"]["message"]


def test_what_is_scaled_is_bounded(serve: Serve) -> None:
    served = served_fixed(serve)
    with served.client() as client:
        for size in ("4096x4096", "0x10", "99999x1"):
            body = {"prompt": "a cat", "size": size}
            assert client.post("/v1/images/generations", json=body).status_code == 400
        entry = client.post("/api/jobs", json={"request": {"prompt": "a cat", "steps": 1}}).text
        url = json.loads(entry.strip().split("data: ")[-1])["pictures"][0]["url"]
        for size in ("9999x9999", "0x5", "4097x1", "1x", "a"):
            assert client.get(f"{url}?size={size}").status_code == 400

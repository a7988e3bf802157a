"""A second pass over what was painted, as A1111's clients ask for it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.studio.server.conftest import CARD, PacedBase, Serve, Served
from tests.studio.server.test_retouch_routes import size_of
from tests.tiny_upscaler import write_upscaler

from allaprima.core.picture_files import read_history
from allaprima.core.retouch import Repaint, Upscale

BODY = {
    "prompt": "a cat on a roof", "width": 128, "height": 64, "steps": 2, "cfg_scale": 1, "enable_hr": True,
    "hr_scale": 2, "hr_upscaler": "tiny", "denoising_strength": 0.5, "batch_size": 2,
}  # fmt: skip


@pytest.fixture
def with_upscaler(served: Served, tmp_path: Path) -> Served:
    write_upscaler(tmp_path / "models" / "ESRGAN" / "tiny.safetensors")
    return served


def paint(served: Served, **values: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the images of an answer and its info."""
    with served.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json=BODY | values)
    assert answer.status_code == 200, answer.text
    return answer.json()["images"], json.loads(answer.json()["info"])


def test_pictures_of_a_fixed_size_are_enlarged_and_kept_so(with_upscaler: Served) -> None:
    with_upscaler.studio.bases = {CARD.name: replace(CARD, fixed_size=True)}
    images, info = paint(with_upscaler)
    assert [size_of(image) for image in images] == [(256, 128)] * 2
    assert (info["width"], info["height"], info["ignored"]) == (256, 128, ["denoising_strength"])
    history = read_history(base64.b64decode(images[0]))
    assert history.operations == (Upscale(upscaler="tiny"),)
    assert with_upscaler.studio.gallery.count() == 2
    kept = with_upscaler.studio.gallery.find_png(with_upscaler.studio.gallery.search()[0].id)
    assert kept is not None
    assert size_of(base64.b64encode(kept).decode()) == (256, 128)


def test_a_scale_of_one_enlarges_nothing(with_upscaler: Served) -> None:
    with_upscaler.studio.bases = {CARD.name: replace(CARD, fixed_size=True)}
    images, info = paint(with_upscaler, hr_scale=1)
    assert [size_of(image) for image in images] == [(128, 64)] * 2
    assert info["ignored"] == ["denoising_strength", "enable_hr"]


class AnySizeBase(PacedBase):
    """A base that paints pictures of every size."""

    def check_size(self, width: int, height: int) -> None:
        """Refuse none."""


def test_a_base_that_paints_that_size_paints_over_it(serve: Serve, tmp_path: Path) -> None:
    write_upscaler(tmp_path / "models" / "ESRGAN" / "tiny.safetensors")
    served = serve(base=AnySizeBase())
    images, info = paint(served, batch_size=1)
    plain, _ = paint(served, batch_size=1, denoising_strength=0)
    assert [size_of(one) for one in (*images, *plain)] == [(256, 128)] * 2
    assert info["ignored"] == []
    history = read_history(base64.b64decode(images[0]))
    assert history.operations == (Upscale(upscaler="tiny"), Repaint(strength=0.5))
    assert read_history(base64.b64decode(plain[0])).operations == (Upscale(upscaler="tiny"),)


@pytest.mark.weights
def test_an_upscaler_that_is_not_here_is_told(with_upscaler: Served) -> None:
    with_upscaler.studio.bases = {CARD.name: replace(CARD, fixed_size=True)}
    images, info = paint(with_upscaler, hr_upscaler="Latent", batch_size=1, hr_second_pass_steps=7)
    assert size_of(images[0]) == (256, 128)
    assert info["ignored"] == ["denoising_strength", "hr_second_pass_steps", "hr_upscaler"]


def test_a_second_pass_over_a_picture_is_not_there_and_told(with_upscaler: Served) -> None:
    image = paint(with_upscaler, enable_hr=False, batch_size=1)[0][0]
    with with_upscaler.client() as client:
        answer = client.post("/sdapi/v1/img2img", json=BODY | {"init_images": [image], "batch_size": 1})
    assert "enable_hr" in json.loads(answer.json()["info"])["ignored"]
    assert size_of(answer.json()["images"][0]) == (128, 64)

"""A1111's routes for finished pictures, as its clients call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.studio.server.conftest import Served
from tests.studio.server.test_retouch_routes import sent, size_of
from tests.tiny_upscaler import write_upscaler

USUAL = {
    "resize_mode": 0, "show_extras_results": True, "gfpgan_visibility": 0, "codeformer_visibility": 0,
    "codeformer_weight": 0, "upscaling_resize": 2, "upscaling_resize_w": 512, "upscaling_resize_h": 512,
    "upscaling_crop": True, "upscaler_1": "tiny", "upscaler_2": "None", "extras_upscaler_2_visibility": 0,
    "upscale_first": False,
}  # fmt: skip


@pytest.fixture
def with_upscaler(served: Served, tmp_path: Path) -> Served:
    write_upscaler(tmp_path / "models" / "ESRGAN" / "tiny.safetensors")
    return served


def post(served: Served, route: str = "extra-single-image", **values: Any) -> Any:
    with served.client() as client:
        return client.post(f"/sdapi/v1/{route}", json=USUAL | {"image": sent(20, 10)} | values)


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({}, (40, 20)),
        ({"upscaling_resize": 1.5}, (30, 15)),
        ({"upscaling_resize": 0.5}, (10, 5)),
        ({"upscaler_1": "None"}, (40, 20)),
        ({"upscaler_1": None}, (40, 20)),
        ({"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 50}, (50, 50)),
        (
            {"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 50, "upscaling_crop": False},
            (50, 25),
        ),
    ],
)
def test_the_size_is_what_was_asked_for(
    with_upscaler: Served, values: dict[str, Any], size: tuple[int, int]
) -> None:
    answer = post(with_upscaler, **values).json()
    assert (size_of(answer["image"]), answer["ignored"], answer["html_info"]) == (size, [], "")


def test_several_pictures_come_back_in_order(with_upscaler: Served) -> None:
    files = [{"data": sent(8, 4), "name": "a.png"}, {"data": sent(6, 6), "name": "b.png"}]
    answer = post(with_upscaler, "extra-batch-images", imageList=files).json()
    assert [size_of(image) for image in answer["images"]] == [(16, 8), (12, 12)]


def test_what_is_not_honoured_is_told(with_upscaler: Served) -> None:
    answer = post(with_upscaler, upscaler_2="tiny", extras_upscaler_2_visibility=0.5, sharpen=1).json()
    assert answer["ignored"] == ["extras_upscaler_2_visibility", "sharpen"]
    assert "sharpen" in answer["html_info"]


@pytest.mark.parametrize(
    ("values", "status", "complaint"),
    [
        ({"gfpgan_visibility": 1}, 422, "gfpgan_visibility is not something this studio does"),
        ({"upscaler_1": "R-ESRGAN 4x+"}, 404, "GET /sdapi/v1/upscalers lists them"),
        ({"image": "AAAA"}, 400, "expected a PNG"),
        ({"upscaling_resize": 9}, 422, ""),
        ({"resize_mode": 1, "upscaling_resize_w": 16_000}, 422, "times the size; expected at most 8"),
    ],
)
def test_what_cannot_be_done_is_refused(
    with_upscaler: Served, values: dict[str, Any], status: int, complaint: str
) -> None:
    answer = post(with_upscaler, **values)
    assert answer.status_code == status, answer.text
    assert complaint in answer.text


def test_upscalers_are_listed_and_nothing_describes_pictures(with_upscaler: Served) -> None:
    with with_upscaler.client() as client:
        names = [one["name"] for one in client.get("/sdapi/v1/upscalers").json()]
        assert names == ["None", "vignette", "tiny"]
        answer = client.post("/sdapi/v1/interrogate", json={"image": sent(), "model": "clip"})
    assert answer.status_code == 422
    assert "nothing that describes pictures" in answer.text

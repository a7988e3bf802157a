"""What A1111's clients send: refused, honoured, or listed as ignored."""

from __future__ import annotations

import json
import time

import pytest
from tests.studio.server.conftest import Served

from allaprima.studio.server.a1111_bodies import TextToImage

REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"prompt": "a cat", "enable_hr": True}, 422, "enable_hr"),
    ({"prompt": "a cat", "alwayson_scripts": {"controlnet": {}}}, 422, "alwayson_scripts"),
    ({"prompt": "a cat", "sampler_name": "DPM++ 2M"}, 404, "Sampler not found"),
    ({"prompt": "a cat", "sampler_index": "DPM++ 2M"}, 404, "Sampler not found"),
    ({"prompt": "a cat", "batch_size": 10, "n_iter": 10}, 422, "100 pictures"),
    ({"prompt": "a cat", "override_settings": {"sd_model_checkpoint": "../x"}}, 404, "checkpoint"),
    ({"prompt": "a cat <lora:../../x:1>"}, 400, "LoRA"),
    ({"prompt": "a cat", "steps": "many"}, 422, "steps"),
]


def test_what_is_not_here_is_said(served: Served) -> None:
    with served.client() as client:
        for body, status, says in REFUSED:
            answer = client.post("/sdapi/v1/txt2img", json=body)
            assert answer.status_code == status, answer.text
            assert says in answer.json()["detail"]
            assert {"error", "detail", "body", "errors", "id"} == set(answer.json())


@pytest.mark.parametrize("field", ['"sampler_index": "\\ud800"', '"override_settings": {"\\ud800": 1}'])
def test_half_a_character_cannot_be_echoed(served: Served, field: str) -> None:
    with served.client() as client:
        answer = client.post(
            "/sdapi/v1/txt2img",
            content=f'{{"prompt": "a", "steps": 1, {field}}}',
            headers={"content-type": "application/json"},
        )
    assert answer.status_code == 422, answer.text
    assert "surrogate" in answer.json()["detail"]


def test_what_is_dropped_is_said(served: Served) -> None:
    usual = {
        "sampler_name": None, "sampler_index": "Euler", "subseed": -1, "subseed_strength": 0, "eta": None,
        "s_churn": 0.0, "s_noise": 1.0, "seed_resize_from_w": -1, "hr_scale": 2,
        "mask_blur": 4, "override_settings_restore_afterwards": True,
        "override_settings": {"sd_model_checkpoint": "vignette"},
    }  # fmt: skip
    dropped = {
        "subseed": 7, "subseed_strength": 0.9, "s_churn": 9, "eta": [[0]], "seed_resize_from_w": 512,
        "infotext": "a dog", "disable_extra_networks": True,
        "override_settings": {"CLIP_stop_at_last_layers": 2},
    }  # fmt: skip
    ignored = []
    with served.client() as client:
        for fields in (usual, dropped):
            answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "steps": 1, **fields})
            assert answer.status_code == 200, answer.text
            ignored.append(json.loads(answer.json()["info"])["ignored"])
    named = sorted([*dropped.keys() - {"override_settings"}, "override_settings.CLIP_stop_at_last_layers"])
    assert ignored == [[], named]


@pytest.mark.parametrize("depth", [1, 254, 400, 900])
def test_nested_settings_are_not_echoed(served: Served, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    overrides = f'{{"x": {nested}, "y": NaN, "z": 1}}'
    content = f'{{"prompt": "a", "steps": 1, "other": {nested}, "override_settings": {overrides}}}'
    with served.client(content_type="application/json") as client:
        answer = client.post("/sdapi/v1/txt2img", content=content)
    assert answer.status_code == 200, answer.text
    assert answer.json()["parameters"]["override_settings"] == {"y": None, "z": 1}
    assert json.loads(answer.json()["info"])["ignored"] == [
        "other",
        *(f"override_settings.{key}" for key in "xyz"),
    ]


def test_what_is_not_echoed_costs_nothing() -> None:
    """The slow way, a dump of it all, took seconds for a body of 32 MB, while nobody else was answered."""
    fields: dict[str, object] = {
        "prompt": "a",
        "other": [[]] * 1_000_000,
        "override_settings": {"x": [[]] * 1_000_000},
    }
    started = time.process_time()
    body = TextToImage.model_validate(fields)
    assert time.process_time() - started < 0.1
    assert body.echo()["override_settings"] == {}

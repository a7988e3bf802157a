"""What A1111's clients send: refused, honoured, or listed as ignored."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.lora_files import cards_with

from allaprima.core.errors import RequestError
from allaprima.core.infotext import to_infotext
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.bases.sdxl.traits import TRAITS as SDXL_TRAITS
from allaprima.studio.server.a1111_bodies import TextToImage, to_order
from allaprima.studio.server.a1111_routes import _info
from allaprima.studio.server.sizes import FittedSize
from allaprima.studio.server.studio import Order


def picture_of(request: GenerationRequest, remarks: tuple[str, ...]) -> Picture:
    """Return a black picture that was painted by `request` as `remarks` say."""
    rgb = bytes(3 * request.width * request.height)
    return Picture(request=request, width=request.width, height=request.height, rgb=rgb, remarks=remarks)


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"prompt": "a cat", "enable_hr": True, "hr_scale": 9}, 422, "hr_scale"),
    ({"prompt": "a cat", "enable_hr": True, "hr_resize_x": 512}, 422, "use hr_scale"),
    (
        {"prompt": "a cat", "alwayson_scripts": {"controlnet": {"args": [{"module": "canny"}]}}},
        422,
        "alwayson_scripts",
    ),
    ({"prompt": "a cat", "sampler_name": "DPM++ 9M"}, 404, "Sampler not found"),
    ({"prompt": "a cat", "sampler_index": "Euler b"}, 404, "Sampler not found"),
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
        "mask_blur": 4, "clip_skip": 1, "scheduler": "Automatic", "override_settings_restore_afterwards": True,
        "override_settings": {
            "sd_model_checkpoint": "vignette.safetensors [abcdef0123]", "CLIP_stop_at_last_layers": 1,
            "sd_vae": "Automatic",
        },
    }  # fmt: skip
    dropped = {
        "subseed": 7, "subseed_strength": 0.9, "s_churn": 9, "eta": [[0]], "seed_resize_from_w": 512,
        "disable_extra_networks": True,
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


SAMPLERS = [
    "Euler a", "DPM++ 2M Karras", "DPM++ 2M", "LCM", "DDIM", "UniPC", "DPM++ 2M SDE Heun Exponential", "k_euler_a",
    "k_dpmpp_2m", "DPM++ SDE Karras", "Restart", "LMS Karras", "dpmpp_2m_sde_gpu", "[Forge] Flux Realistic",
    "euler_ancestral",
]  # fmt: skip
SCHEDULES = [
    "Karras",
    "karras",
    "SGM Uniform",
    "sgm_uniform",
    "Align Your Steps",
    "Beta",
    "Turbo",
    "exponential",
]


def told_by(served: Served, **fields: object) -> dict[str, Any]:
    """Return the `info` of a picture that is painted with `fields`."""
    with served.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "steps": 1, **fields})
    assert answer.status_code == 200, answer.text
    info: dict[str, Any] = json.loads(answer.json()["info"])
    return info


def test_every_sampler_that_a1111_names_is_taken_and_told(served: Served) -> None:
    for name in SAMPLERS:
        assert told_by(served, sampler_name=name)["ignored"] == ["sampler_name"], name
        assert told_by(served, sampler_index=name)["ignored"] == ["sampler_index"], name
    for own in ("Euler", "k_euler", "Automatic", "", None):
        assert told_by(served, sampler_name=own, sampler_index="Euler")["ignored"] == [], own


def test_every_scheduler_that_a1111_names_is_taken_and_told(served: Served) -> None:
    for name in SCHEDULES:
        assert told_by(served, scheduler=name)["ignored"] == ["scheduler"], name
    for own in ("Automatic", "automatic", "", None):
        assert told_by(served, scheduler=own)["ignored"] == [], own


@pytest.mark.parametrize(
    ("fields", "schedule", "ignored"),
    [
        ({"scheduler": "Karras"}, "karras", ()),
        ({"scheduler": "exponential"}, "exponential", ()),
        ({"scheduler": "SGM Uniform"}, "trailing", ()),
        ({"scheduler": "Normal", "sampler_name": "DPM++ 2M"}, "uniform", ("sampler_name",)),
        ({"sampler_name": "DPM++ 2M Karras"}, "karras", ("sampler_name",)),
        ({"sampler_index": "k_dpmpp_2m_karras", "scheduler": "automatic"}, "karras", ("sampler_index",)),
        ({"sampler_name": "DPM++ 2M Karras", "scheduler": "Uniform"}, "uniform", ("sampler_name",)),
        ({"scheduler": "Karras", "steps": 9}, None, ("scheduler",)),
        ({"scheduler": "KL Optimal"}, None, ("scheduler",)),
        ({"scheduler": "Karras", "prompt": "<lora:turbo:1> a cat"}, None, ("scheduler",)),
        ({"scheduler": "trailing"}, "trailing", ()),
        ({}, None, ()),
    ],
)
def test_a_scheduler_that_the_base_has_is_followed_in_many_steps(
    serve: Serve, fields: dict[str, Any], schedule: str | None, ignored: tuple[str, ...]
) -> None:
    studio = serve().studio
    card = replace(studio.first_base, all_schedules=SDXL_TRAITS.schedules)
    studio.bases = {card.name: card}
    order = to_order(TextToImage(**{"prompt": "a cat", "steps": 20, **fields}), studio)
    assert (order.requests[0].schedule, order.ignored) == (schedule, ignored)
    studio.bases = {card.name: replace(card, all_schedules=("lightning",))}
    order = to_order(TextToImage(prompt="a cat", steps=20, scheduler="Karras"), studio)
    assert (order.requests[0].schedule, order.ignored) == (None, ("scheduler",))


def test_null_is_as_if_left_out(served: Served) -> None:
    fields = dict.fromkeys(
        {*TextToImage.model_fields, "eta", "script_name", "hr_prompt"} - {"prompt", "steps"}
    )
    info = told_by(served, **fields)
    assert (info["ignored"], info["batch_size"]) == ([], 1)


def test_a_lora_twice_is_worn_once_with_both_weights(serve: Serve, tmp_path: Path) -> None:
    served = serve(loras=cards_with(tmp_path / "loras", "ink"))
    body = TextToImage(prompt="<lora:ink:0.5> a cat <lora:ink:0.25>")
    (request,) = to_order(body, served.studio).requests
    assert request.loras == (LoraUse(name="ink", weight=0.75),)


def test_what_info_says_paints_the_same(serve: Serve, tmp_path: Path) -> None:
    served = serve(
        loras=cards_with(tmp_path / "loras", "turbo", family="vignette", steps="2", guidance="1.0")
    )
    first = to_order(TextToImage(prompt="a fox", seed=3), served.studio).requests[0]
    assert first.loras
    info = _info(TextToImage(), Order(requests=[first], size=FittedSize(asked=None)), [], interrupted=False)
    again = {key: info[key] for key in ("prompt", "seed", "steps", "cfg_scale", "width", "height")}
    assert to_order(TextToImage(**again), served.studio).requests == [first]


def test_an_infotext_says_what_the_body_does_not(served: Served) -> None:
    text = "a dog <lora:x:0>\nNegative prompt: rain\nSteps: 3, Sampler: Euler, CFG scale: 1.5, Seed: 9, Size: 64x64"
    request = to_order(TextToImage(infotext=text), served.studio).requests[0]
    assert (request.prompt, request.negative_prompt, request.steps, request.seed) == ("a dog", "rain", 3, 9)
    request = to_order(TextToImage(infotext=text, prompt="a cat", steps=5), served.studio).requests[0]
    assert (request.prompt, request.steps, request.guidance) == ("a cat", 5, 1.5)
    with pytest.raises(RequestError, match="without a line of settings"):
        to_order(TextToImage(infotext="nothing"), served.studio)


def test_one_bad_value_of_an_infotext_does_not_cost_the_others(served: Served) -> None:
    text = "a dog\r\nNegative prompt:rain\r\nSteps: 3, Sampler: Euler, CFG scale: nan, Seed: many, Size: 8by8"
    order = to_order(TextToImage(infotext=text, seed=4, width=64, height=64), served.studio)
    assert (order.requests[0].prompt, order.requests[0].steps, order.requests[0].seed) == ("a dog", 3, 4)
    assert order.ignored == ("infotext.CFG scale", "infotext.Seed", "infotext.Size")


def test_what_an_infotext_says_in_vain_is_told(served: Served) -> None:
    said = "Steps: 3.5, Sampler: Nobody's, CFG scale: 1, Seed: 9, Size: 64by64, Clip skip: 2, Model: another"
    order = to_order(TextToImage(infotext=f"a dog\n{said}"), served.studio)
    assert (order.requests[0].guidance, order.requests[0].seed) == (1.0, 9)
    assert order.ignored == tuple(
        f"infotext.{name}" for name in ("Clip skip", "Model", "Sampler", "Size", "Steps")
    )
    own = to_infotext(replace(order.requests[0], steps=2))
    assert to_order(TextToImage(infotext=own), served.studio).ignored == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"alwayson_scripts": {"ADetailer": {"args": []}, "controlnet": {}}},
        {"alwayson_scripts": {"ADetailer": {"args": [False, {"ad_model": "face.pt"}]}}},
        {"alwayson_scripts": {"ControlNet": {"args": [{"enabled": False}]}}},
        {"refiner_checkpoint": "None", "refiner_switch_at": 0.8, "script_name": None},
    ],
)
def test_what_is_switched_off_is_as_left_out(served: Served, fields: dict[str, object]) -> None:
    assert told_by(served, **fields)["ignored"] == []


def test_fields_that_remarks_are_about_are_listed(served: Served) -> None:
    remarks = (
        "guidance 0.5 is none, as 1 is",
        "the end of the prompt is beyond",
        "the prompt holds",
        "the LoRA",
    )
    order = to_order(TextToImage(prompt="a cat", steps=1), served.studio)
    picture = picture_of(order.requests[0], remarks)
    info = _info(TextToImage(), replace(order, ignored=("eta",)), [picture], interrupted=False)
    assert info["ignored"] == ["eta", "prompt", "cfg_scale"]
    assert info["remarks"] == list(remarks)


def test_options_that_are_not_here_are_told_to_who_sets_them(served: Served) -> None:
    with served.client() as client:
        said = {"CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 0, "samples_format": "png", "x": 1}
        assert client.post("/sdapi/v1/options", json=said).json() == {
            "ignored": ["CLIP_stop_at_last_layers", "x"]
        }
        assert client.post("/sdapi/v1/options", json={"sd_vae": "Automatic"}).json() is None


LISTS = (
    "latent-upscale-modes", "sd-vae", "embeddings", "prompt-styles", "cmd-flags", "memory", "scripts", "script-info",
    "hypernetworks", "face-restorers", "realesrgan-models", "extensions", "sd-modules",
)  # fmt: skip


def test_lists_that_clients_ask_first_are_there(served: Served) -> None:
    with served.client() as client:
        for name in LISTS:
            answer = client.get(f"/sdapi/v1/{name}")
            assert answer.status_code == 200, name
            assert not isinstance(answer.json(), list) or answer.json() == []
        for name in ("refresh-checkpoints", "refresh-vae", "unload-checkpoint", "reload-checkpoint"):
            assert client.post(f"/sdapi/v1/{name}").json() == {}
        assert client.get("/sdapi/v1/memory").json()["ram"]["total"] > 2**20

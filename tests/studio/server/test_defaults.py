"""What clients are told to begin with: the base's own, and a turbo LoRA's where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.studio.server.conftest import CARD, Serve
from tests.studio.server.lora_files import cards_with

from allaprima.core.request import LoraUse
from allaprima.studio.server import a1111_bodies, openai_routes
from allaprima.studio.server.a1111_bodies import TextToImage
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.openai_routes import ImagesBody
from allaprima.studio.server.studio import LoadedCards, live_defaults

SLOW = replace(CARD, steps=50, guidance=4.0)
TOLD = {"family": "vignette", "steps": "2", "guidance": "1.0"}


def test_a_base_begins_as_it_was_trained_within_the_live_steps(tmp_path: Path) -> None:
    assert live_defaults(SLOW, LoraCards(tmp_path)) == {"steps": 8, "guidance": 4.0, "loras": []}
    assert live_defaults(CARD, cards_with(tmp_path, "ink", steps="1"))["steps"] == CARD.steps


def test_a_turbo_lora_brings_its_own_steps_and_no_guidance(tmp_path: Path) -> None:
    turbo = [{"name": "turbo", "weight": 1.0}]
    cards = cards_with(tmp_path, "turbo", **TOLD)
    assert live_defaults(SLOW, cards) == {"steps": 2, "guidance": 1.0, "loras": turbo}
    cards_with(tmp_path, "turbo")
    assert live_defaults(SLOW, cards) == {"steps": 4, "guidance": 1.0, "loras": turbo}
    cards_with(tmp_path, "turbo", **{**TOLD, "family": "sdxl"})
    assert live_defaults(SLOW, cards)["loras"] == []


def test_the_routes_paint_quickly_for_who_only_says_what(serve: Serve, tmp_path: Path) -> None:
    studio = serve(loras=cards_with(tmp_path / "loras", "turbo", **TOLD)).studio
    openai, a1111 = openai_routes._to_requests, a1111_bodies.to_requests
    wear = (LoraUse(name="turbo"),)
    for quick in (
        openai(ImagesBody(prompt="a cat", seed=1, n=2), studio)[1],
        a1111(TextToImage(prompt="a cat", seed=1), studio)[0],
        a1111(TextToImage(prompt="a cat", negative_prompt="", steps=None, scheduler="Automatic"), studio)[0],
    ):
        assert (quick.loras, quick.steps, quick.guidance) == (wear, 2, 1.0)
    for name, given in (
        ("num_inference_steps", 4),
        ("guidance", 1.0),
        ("negative_prompt", "rain"),
        ("loras", []),
    ):
        plain = openai(ImagesBody.model_validate({"prompt": "a cat", name: given}), studio)[0]
        assert (plain.loras, plain.steps, plain.guidance) == ((), CARD.steps, CARD.guidance)
    for key, value in ("steps", 4), ("cfg_scale", 1.0), ("negative_prompt", "rain"), ("scheduler", "lcm"):
        plain = a1111(TextToImage.model_validate({"prompt": "a cat", key: value}), studio)[0]
        assert (plain.loras, plain.steps, plain.guidance) == ((), CARD.steps, CARD.guidance)
    (tagged,) = a1111(TextToImage(prompt="a cat <lora:ink:0.5>"), studio)
    assert (tagged.loras, tagged.steps) == ((LoraUse(name="ink", weight=0.5),), CARD.steps)


def test_the_engine_knows_better_once_it_has_loaded_a_base(serve: Serve) -> None:
    served = serve()
    engine, own = served.studio.engine, served.base.defaults
    cards = LoadedCards({"vignette": SLOW, "other": replace(SLOW, name="other")}, engine)
    card = cards["vignette"]
    assert (card.width, card.height, card.steps, card.guidance) == (
        own.width,
        own.height,
        own.steps,
        own.guidance,
    )
    assert cards["other"].steps == 50
    assert list(cards) == ["vignette", "other"]


def test_the_page_is_told(serve: Serve, tmp_path: Path) -> None:
    said = {
        "allaprima.family": "vignette",
        "allaprima.steps": "4",
        "allaprima.guidance": json.dumps(1.0),
        "modelspec.trigger_phrase": "ink, wash",
    }
    save_file({"x": torch.zeros(1)}, tmp_path / "turbo.safetensors", said)
    served = serve(loras=LoraCards(tmp_path))
    with served.client() as client:
        (base,) = client.get("/api/config").json()["bases"]
        (lora,) = client.get("/api/loras").json()["loras"]
    assert base["live"] == {"steps": 4, "guidance": 1.0, "loras": [{"name": "turbo", "weight": 1.0}]}
    assert (lora["trigger_words"], lora["steps"], lora["guidance"]) == (["ink", "wash"], 4, 1.0)

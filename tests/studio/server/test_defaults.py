"""What clients are told to begin with: the base's own, and a turbo LoRA's where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.studio.server.conftest import CARD, Serve

from allaprima.cli.lora_cards import FolderCards
from allaprima.core.request import LoraUse
from allaprima.studio.server import a1111_bodies, openai_routes
from allaprima.studio.server.a1111_bodies import TextToImage
from allaprima.studio.server.openai_routes import ImagesBody
from allaprima.studio.server.studio import LoadedCards, LoraCard, NoLoras, live_defaults

SLOW = replace(CARD, steps=50, guidance=4.0)
TOLD = LoraCard(name="turbo", family="vignette", steps=2, guidance=1.0)


class Shelf(NoLoras):
    """One LoRA."""

    def __init__(self, card: LoraCard) -> None:
        self._card = card

    def find(self, name: str) -> LoraCard | None:
        return self._card if name == self._card.name else None


def test_a_base_begins_as_it_was_trained_within_the_live_steps() -> None:
    assert live_defaults(SLOW, NoLoras()) == {"steps": 8, "guidance": 4.0, "loras": []}
    assert live_defaults(CARD, Shelf(LoraCard(name="ink", steps=1)))["steps"] == CARD.steps


def test_a_turbo_lora_brings_its_own_steps_and_no_guidance() -> None:
    worn = [{"name": "turbo", "weight": 1.0}]
    assert live_defaults(SLOW, Shelf(TOLD)) == {"steps": 2, "guidance": 1.0, "loras": worn}
    assert live_defaults(SLOW, Shelf(LoraCard(name="turbo"))) == {"steps": 4, "guidance": 1.0, "loras": worn}
    assert live_defaults(SLOW, Shelf(replace(TOLD, family="sdxl")))["loras"] == []


def test_the_routes_paint_quickly_for_who_only_says_what(serve: Serve) -> None:
    studio = serve(loras=Shelf(TOLD)).studio
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


def test_a_file_that_declares_nothing_is_told_by_its_layers(tmp_path: Path) -> None:
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    halves = {f"{key}.lora_down.weight": torch.zeros(4, 2048), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    save_file(halves, tmp_path / "turbo.safetensors")
    (tmp_path / "turbo-1.safetensors").write_bytes(b"not a LoRA")
    cards = FolderCards(tmp_path / "none", behind=tmp_path)
    assert [(card.name, card.family) for card in cards.cards()] == [("turbo", "sdxl")]
    assert live_defaults(SLOW, cards)["loras"] == []
    assert cards.find("turbo-1") is cards.find("ink") is None


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
    served = serve(loras=FolderCards(tmp_path))
    with served.client() as client:
        (base,) = client.get("/api/config").json()["bases"]
        (lora,) = client.get("/api/loras").json()["loras"]
    assert base["live"] == {"steps": 4, "guidance": 1.0, "loras": [{"name": "turbo", "weight": 1.0}]}
    assert (lora["trigger_words"], lora["steps"], lora["guidance"]) == (["ink", "wash"], 4, 1.0)

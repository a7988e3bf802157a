"""What clients are told to begin with: the base's own, and a turbo LoRA's where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.studio.server.conftest import CARD, Serve

from allaprima.cli.lora_cards import FolderCards
from allaprima.studio.server.studio import LoadedCards, LoraCard, live_defaults

SLOW = replace(CARD, steps=50, guidance=4.0)


def test_a_base_begins_as_it_was_trained_within_the_live_steps() -> None:
    assert live_defaults(SLOW, ()) == {"steps": 8, "guidance": 4.0, "loras": []}
    assert live_defaults(CARD, [LoraCard(name="ink", steps=1)])["steps"] == CARD.steps


def test_a_turbo_lora_brings_its_own_steps_and_no_guidance() -> None:
    worn = [{"name": "turbo", "weight": 1.0}]
    told = LoraCard(name="turbo", family="vignette", steps=2, guidance=1.0)
    assert live_defaults(SLOW, [told]) == {"steps": 2, "guidance": 1.0, "loras": worn}
    assert live_defaults(SLOW, [LoraCard(name="turbo")]) == {"steps": 4, "guidance": 1.0, "loras": worn}
    assert live_defaults(SLOW, [replace(told, family="sdxl")])["loras"] == []


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

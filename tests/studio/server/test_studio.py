"""What the routes share: cards of bases and LoRAs, and requests completed by the policy."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.studio.server.conftest import CARD, Serve
from tests.studio.server.lora_files import cards_with

from allaprima.core.errors import RequestError
from allaprima.core.request import LoraUse
from allaprima.paint.bases.vignette.traits import TRAITS
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.studio import LoadedCards, Studio

SLOW = replace(CARD, defaults=TRAITS.defaults)
TURBO = {"family": "vignette", "steps": "2", "guidance": "1.0", "sigmas": "[1.0, 0.5, 0.0]"}
WORN = (LoraUse(name="turbo"),)


def studio_with(serve: Serve, cards: LoraCards) -> Studio:
    studio = serve(loras=cards).studio
    studio.bases = {SLOW.name: SLOW}
    return studio


def test_live_painting_begins_as_the_base_was_trained_within_the_live_steps(
    serve: Serve, tmp_path: Path
) -> None:
    live = studio_with(serve, cards_with(tmp_path / "mine", "ink", steps="1")).complete_live({})
    assert (live["steps"], live["guidance"], live["loras"]) == (8, 4.0, ())
    assert (live["width"], live["height"], live["base"]) == (256, 256, "vignette")


@pytest.mark.parametrize(
    ("metadata", "steps", "loras"),
    [(TURBO, 2, WORN), ({}, 4, WORN), (TURBO | {"family": "sdxl"}, 8, ())],
)
def test_live_painting_wears_turbo(
    serve: Serve, tmp_path: Path, metadata: dict[str, str], steps: int, loras: tuple[LoraUse, ...]
) -> None:
    studio = studio_with(serve, cards_with(tmp_path / "mine", "turbo", **metadata))
    live = studio.complete_live({"seed": 7})
    assert (live["steps"], live["loras"], live["seed"]) == (steps, loras, 7)
    assert studio.complete_live(live | {"loras": ()})["loras"] == ()  # nothing is left open


def test_seeds_follow_each_other_and_the_caps_are_kept(serve: Serve, tmp_path: Path) -> None:
    studio = studio_with(serve, LoraCards(tmp_path / "none"))
    requests = studio.make_requests({"prompt": "a cat", "seed": 3}, 2)
    assert [request.seed for request in requests] == [3, 4]
    assert studio.make_requests({"prompt": "a cat"}, 1) != studio.make_requests({"prompt": "a cat"}, 1)
    with pytest.raises(RequestError, match="got 151 steps; expected 1 to 150"):
        studio.make_requests({"prompt": "a cat", "steps": 151}, 1)


def test_the_engine_knows_better_once_it_has_loaded_a_base(serve: Serve) -> None:
    served = serve()
    cards = LoadedCards({"vignette": SLOW, "other": replace(SLOW, name="other")}, served.studio.engine)
    assert cards["vignette"].defaults == served.base.defaults
    assert cards["other"].defaults == TRAITS.defaults
    assert not cards["vignette"].reads_layout
    assert list(cards) == ["vignette", "other"]


def test_the_page_hears_of_it(serve: Serve, tmp_path: Path) -> None:
    metadata = {
        "allaprima.family": "vignette",
        "allaprima.steps": "4",
        "allaprima.guidance": json.dumps(1.0),
        "modelspec.trigger_phrase": "ink, wash",
    }
    save_file({"x": torch.zeros(1)}, tmp_path / "turbo.safetensors", metadata)
    served = serve(loras=LoraCards(tmp_path))
    with served.client() as client:
        (base,) = client.get("/api/config").json()["bases"]
        (lora,) = client.get("/api/loras").json()["loras"]
    live = base["live"]
    assert (live["steps"], live["guidance"], live["schedule"]) == (4, 1.0, None)
    assert live["loras"] == [{"name": "turbo", "weight": 1.0}]
    assert (lora["trigger_words"], lora["steps"], lora["guidance"]) == (["ink", "wash"], 4, 1.0)


def test_few_requests_open_their_pictures_at_once(serve: Serve, tmp_path: Path) -> None:
    studio = studio_with(serve, LoraCards(tmp_path / "none"))
    counting, now, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with counting:
            now -= 1
        return number

    async def ask() -> list[int]:
        return await asyncio.gather(*(studio.open_pictures(work, number) for number in range(12)))

    assert asyncio.run(ask()) == [*range(12)]
    assert most == studio.settings.caps.openings == 2

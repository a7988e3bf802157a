"""What a request says and its picture does not honour is said at every door, in the painter's own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.live_clients import dial, hear_final
from tests.tiny_turbo import FOUR_STEPS, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter
from allaprima.studio.server.lora_cards import LoraCards

UNHEARD: dict[str, tuple[Mapping[str, Any], str]] = {
    "a weight in words": ({"prompt": "a (cat:1.3)"}, "read"),
    "an end that is not read": ({"prompt": "a cat " + "on a roof " * 60}, "beyond what the base reads"),
    "a negative prompt that is not read": (
        {"negative_prompt": "rain", "guidance": 1.0},
        "negative prompt does nothing",
    ),
    "a guidance that is none": ({"guidance": 0.5}, "guidance 0.5"),
    "steps that a LoRA has not learned": (
        {"loras": (LoraUse(name="quick"),), "steps": 3},
        "'quick' was trained",
    ),
}
"""Fields of a request, and a part of the remark about them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("remarks"))
    write_turbo(folder / "loras" / "quick.safetensors", FOUR_STEPS)
    return folder


@pytest.fixture
def spoken(serve: Serve, folder: Path) -> Served:
    painter = Painter.load(folder=folder, lora_dir=folder / "loras", device="cpu")
    return serve(painters={"vignette": painter}, loras=LoraCards(folder / "loras"))


def at_openai(fields: Mapping[str, Any], served: Served, *, stream: bool = False) -> list[str]:
    body = {**fields, "loras": [asdict(use) for use in fields.get("loras", ())], "stream": stream}
    with served.client() as client:
        text = client.post("/v1/images/generations", json=body).text
    told = events_of(text)[-1][1] if stream else json.loads(text)
    return list(told.get("remarks", []))


def in_openais_stream(fields: Mapping[str, Any], served: Served) -> list[str]:
    return at_openai(fields, served, stream=True)


def at_a1111(fields: Mapping[str, Any], served: Served) -> list[str]:
    names = {"guidance": "cfg_scale"}
    body = {names.get(name, name): value for name, value in fields.items() if name != "loras"}
    body["prompt"] += "".join(f"<lora:{use.name}:{use.weight}>" for use in fields.get("loras", ()))
    with served.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json=body).json()
    return list(json.loads(answer["info"])["remarks"])


def in_a_job(fields: Mapping[str, Any], served: Served) -> list[str]:
    asked = {**fields, "loras": [asdict(use) for use in fields.get("loras", ())]}
    with served.client() as client:
        text = client.post("/api/jobs", json={"request": asked}).text
    events = dict(events_of(text))
    assert events["kept"]["pictures"] == events["done"]["pictures"]
    return list(events["done"]["pictures"][0].get("remarks", []))


def in_a_live_frame(fields: Mapping[str, Any], served: Served) -> list[str]:
    asked = {**fields, "loras": [asdict(use) for use in fields.get("loras", ())]}
    prompt = asked.pop("prompt")
    with dial(served) as socket:
        socket.send(json.dumps({"sequence": 1, "prompt": prompt, "settings": asked}))
        return list(hear_final(socket)["remarks"])


DOORS: list[Callable[[Mapping[str, Any], Served], list[str]]] = [
    at_openai, in_openais_stream, at_a1111, in_a_job, in_a_live_frame,
]  # fmt: skip


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(chosen=st.sets(st.sampled_from(sorted(UNHEARD)), min_size=1))
def test_what_is_not_honoured_is_said_at_every_door(spoken: Served, chosen: set[str]) -> None:
    fields: dict[str, Any] = {"prompt": "a cat", "seed": 7, "steps": 1, "guidance": 1.0}
    for name in sorted(chosen):
        fields |= UNHEARD[name][0]
    expected = [
        part
        for given_fields, part in UNHEARD.values()
        if all(fields.get(k) == v for k, v in given_fields.items())
    ]
    for door in DOORS:
        told = door(fields, spoken)
        for part in expected:
            if part == "negative prompt does nothing" and fields["guidance"] > 1.0:
                continue
            assert any(part in remark for remark in told), (door.__name__, part, told)


def test_what_is_honoured_is_not_remarked_on(spoken: Served) -> None:
    fields = {"prompt": "a cat", "seed": 7, "steps": 2, "guidance": 1.0}
    for door in DOORS:
        assert door(fields, spoken) == [], door.__name__


def test_the_doors_say_what_the_painter_says(spoken: Served, folder: Path) -> None:
    painter = Painter.load(folder=folder, lora_dir=folder / "loras", device="cpu")
    fields: dict[str, Any] = {"prompt": "a (cat:1.3)", "negative_prompt": "rain", "steps": 3, "guidance": 1.0}
    fields["loras"] = (LoraUse(name="quick"),)
    said = painter.remarks(GenerationRequest(seed=7, width=256, height=256, **fields))
    assert len(said) >= 3
    for door in DOORS:
        assert door({**fields, "seed": 7}, spoken) == list(said), door.__name__

"""One request policy: the same words at every door are the same request.

The doors are Python, the command line, the routes of OpenAI, of A1111 and of the page's jobs, and the live socket.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny_turbo import FOUR_STEPS, ONE_STEP, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.layout_option import open_layout
from allaprima.cli.paint import fill_requests, given_fields, make_requests
from allaprima.core.layout import Box, Thing
from allaprima.core.layout_json import layout_to_json
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.wildcard_folder import WildcardFolder
from allaprima.paint.bases.vignette.traits import TRAITS
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.messages import MAX_LIVE_STEPS
from allaprima.studio.server import a1111_bodies, job_routes, openai_bodies
from allaprima.studio.server.a1111_bodies import TextToImage
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.job_routes import JobBody
from allaprima.studio.server.live_messages import parse_message
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.openai_bodies import ImagesBody
from allaprima.studio.server.settings import Caps, ServerSettings
from allaprima.studio.server.studio import BaseCard, Studio

Given = Mapping[str, Any]
PROMPT = "a cat"
ANIMALS = ("cat", "fox")
FACE = Reference.from_image(Image.effect_noise((64, 96), 90).convert("RGB"))

CASES: dict[str, Given] = {
    "nothing": {},
    "few steps": {"steps": 4},
    "one step": {"steps": 1},
    "other steps": {"steps": 6},
    "many steps": {"steps": 20},
    "no guidance": {"guidance": 1.0},
    "guidance": {"guidance": 7.0},
    "what A1111's programs send": {"steps": 20, "guidance": 7.0, "negative_prompt": "blurry"},
    "a negative prompt": {"negative_prompt": "rain"},
    "a schedule": {"schedule": "lcm"},
    "a size": {"width": 64, "height": 32},
    "a style": {"loras": (LoraUse(name="ink", weight=0.5),)},
    "a LoRA with steps of its own": {"loras": (LoraUse(name="quick"),)},
    "turbo at half": {"loras": (LoraUse(name="turbo", weight=0.5),)},
    "turbo off by its weight": {"loras": (LoraUse(name="turbo", weight=0.0),)},
    "turbo off": {"turbo": False},
    "a picture to look at": {"references": (FACE,)},
    "turbo with guidance": {"loras": (LoraUse(name="turbo"),), "guidance": 2.0},
    "a layout": {"layout": (Thing(kind="cat", box=Box(0.1, 0.4, 0.5, 0.9)),)},
    "a layout as it stands": {
        "layout": (
            Thing(kind="sun", box=Box(0.5, -0.1, 1.1, 0.5), layer="behind", color=(255, 204, 0)),
            Thing(kind="猫", box=Box(0.1, 0.4, 0.5, 0.9), number=1),
        ),
        "complete_layout": False,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny Vignette, and LoRAs in `loras`."""
    folder = write_tiny_vignette(tmp_path_factory.mktemp("doors"))
    write_turbo(folder / "loras" / "turbo.safetensors", FOUR_STEPS)
    write_turbo(folder / "loras" / "turbo-1.safetensors", ONE_STEP)
    write_turbo(folder / "loras" / "ink.safetensors", {})
    (folder / "wildcards").mkdir()
    (folder / "wildcards" / "animal.txt").write_text("\n".join(ANIMALS))
    write_turbo(folder / "loras" / "quick.safetensors", FOUR_STEPS | {"allaprima.steps": "2"})
    return folder


@pytest.fixture(scope="module")
def painter(folder: Path) -> Painter:
    return Painter.load(
        folder=folder, lora_dir=folder / "loras", wildcard_dir=folder / "wildcards", device="cpu"
    )


@pytest.fixture(scope="module")
def studio(folder: Path, painter: Painter) -> Iterator[Studio]:
    card = BaseCard(name="vignette", family="vignette", defaults=TRAITS.defaults)
    with closing(Gallery.open(folder / "gallery")) as gallery, Engine(lambda _: painter) as engine:
        yield Studio(
            engine=engine,
            gallery=gallery,
            settings=ServerSettings(),
            bases={card.name: card},
            loras=LoraCards(folder / "loras"),
            wildcards=WildcardFolder(folder / "wildcards"),
        )


def at_the_command(given: Given, painter: Painter) -> GenerationRequest:
    fields = dict(given)
    turbo = fields.pop("turbo", True)
    if "layout" in fields:
        fields["layout"] = open_layout(json.dumps(layout_to_json(fields["layout"])))
    loras = [f"{use.name}:{use.weight}" for use in fields.pop("loras", ())]
    size = f"{fields.pop('width')}x{fields.pop('height')}" if "width" in fields else None
    said = given_fields(size, loras, prompt=PROMPT, **fields)
    made = make_requests(said, None, 7, 1, painter.wildcards.find)
    (request,) = fill_requests(painter, made, said, None, turbo=turbo)
    return request


def at_openai(given: Given, studio: Studio) -> GenerationRequest:
    fields = {**plain(given), "loras": [asdict(use) for use in given.get("loras", ())]}
    if "width" in fields:
        fields["size"] = f"{fields.pop('width')}x{fields.pop('height')}"
    references = fields.pop("references", ())
    body = ImagesBody.model_validate({"prompt": PROMPT, "seed": 7, **fields})
    return openai_bodies.to_order(body, studio, references).requests[0]


def at_a1111(given: Given, studio: Studio) -> GenerationRequest:
    names = {"guidance": "cfg_scale", "schedule": "scheduler"}
    fields = {names.get(name, name): value for name, value in plain(given).items() if name != "loras"}
    tags = [f" <lora:{use.name}:{use.weight}>" for use in given.get("loras", ())]
    body = TextToImage.model_validate({"prompt": PROMPT + "".join(tags), "seed": 7, **fields})
    return a1111_bodies.to_order(body, studio).requests[0]


def at_the_page(given: Given, studio: Studio) -> GenerationRequest:
    fields = {"prompt": PROMPT, "seed": 7, **plain(given)}
    turbo = fields.pop("turbo", True)
    if "loras" in fields:
        fields["loras"] = [asdict(use) for use in fields["loras"]]
    sent = [base64.b64encode(png(one)).decode() for one in fields.pop("references", ())]
    return job_routes.to_requests(JobBody(request=fields, turbo=turbo, references=sent), studio)[0]


def plain(given: Given) -> dict[str, Any]:
    """Return what is given, its layout as JSON has it."""
    layout = {"layout": layout_to_json(given["layout"])} if "layout" in given else {}
    return {**given, **layout}


def png(reference: Reference) -> bytes:
    """Return a reference as the picture file that a client would send."""
    pixels, out = reference.pixels, io.BytesIO()
    assert pixels is not None
    Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb).save(out, "PNG")
    return out.getvalue()


DOORS: dict[str, Callable[[Given, Studio], GenerationRequest]] = {
    "OpenAI": at_openai,
    "A1111": at_a1111,
    "the page": at_the_page,
}


@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_the_same_words_are_the_same_request(given: Given, painter: Painter, studio: Studio) -> None:
    request = painter.request(prompt=PROMPT, seed=7, **given)
    assert at_the_command(given, painter) == request
    for name, door in DOORS.items():
        if name == "A1111" and "references" in given:  # its programs have no word for them
            continue
        assert door(given, studio) == request, name


LIVE = {
    name: given
    for name, given in CASES.items()
    if not given.keys() & {"turbo", "references"} and given.get("steps", 1) <= MAX_LIVE_STEPS
}


@pytest.mark.parametrize("given", LIVE.values(), ids=LIVE)
def test_the_live_socket_agrees_within_its_steps(given: Given, painter: Painter, studio: Studio) -> None:
    settings = {"seed": 7, **plain(given)}
    if "loras" in settings:
        settings["loras"] = [asdict(use) for use in settings["loras"]]
    message = json.dumps({"sequence": 1, "prompt": PROMPT, "settings": settings})
    request = painter.request(prompt=PROMPT, seed=7, **given)
    said = parse_message(message, Caps(), studio.complete_live)
    assert said.words is not None
    live = said.words.request
    assert live == replace(request, steps=min(request.steps, MAX_LIVE_STEPS))


def test_a_tag_in_the_words_is_a_lora_at_every_door(
    painter: Painter, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = painter.request(prompt=PROMPT, seed=7, steps=3, loras=(LoraUse(name="ink", weight=0.5),))
    tagged = f"{PROMPT} <lora:ink:0.5>"
    monkeypatch.setitem(globals(), "PROMPT", tagged)
    assert painter.request(prompt=tagged, seed=7, steps=3) == request
    assert at_the_command({"steps": 3}, painter) == request
    for name, door in DOORS.items():
        assert door({"steps": 3}, studio) == request, name
    message = json.dumps({"sequence": 1, "prompt": tagged, "settings": {"seed": 7, "steps": 3}})
    words = parse_message(message, Caps(), studio.complete_live).words
    assert words is not None
    assert (words.request, words.said) == (request, tagged)


def test_choices_in_the_words_are_made_alike_at_every_door(
    painter: Painter, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "a {red|blue|green} __animal__ {<lora:ink:0.5>|<lora:ink:0.5>}"
    monkeypatch.setitem(globals(), "PROMPT", template)
    request = painter.request(prompt=template, seed=7, steps=3, negative_prompt="{rain|snow}")
    assert request.prompt in {
        f"a {colour} {animal}" for colour in ("red", "blue", "green") for animal in ANIMALS
    }
    assert (request.template, request.negative_template) == (template, "{rain|snow}")
    assert request.loras == (LoraUse(name="ink", weight=0.5),)
    given = {"steps": 3, "negative_prompt": "{rain|snow}"}
    assert at_the_command(given, painter) == request
    for name, door in DOORS.items():
        assert door(given, studio) == request, name
    message = json.dumps({"sequence": 1, "prompt": template, "settings": {"seed": 7, **given}})
    words = parse_message(message, Caps(), studio.complete_live).words
    assert words is not None
    assert (words.request, words.said) == (request, template)


def test_each_seed_makes_its_own_choices(painter: Painter, studio: Studio) -> None:
    template = "{a|b|c|d|e|f} __animal__"
    alone = [painter.request(prompt=template, seed=seed) for seed in range(7, 12)]
    assert len({request.prompt for request in alone}) > 2
    assert painter.requests(5, prompt=template, seed=7) == alone
    assert studio.make_requests({"prompt": template, "seed": 7}, 5) == alone
    said = given_fields(None, None, prompt=template)
    made = make_requests(said, None, 7, 5, painter.wildcards.find)
    assert fill_requests(painter, made, said, None, turbo=True) == alone


def test_a_wildcard_without_a_file_is_told(painter: Painter) -> None:
    request = painter.request(prompt="a __dragon__", seed=7)
    assert (request.prompt, request.template) == ("a __dragon__", "")
    assert any("'__dragon__', a wildcard without a file" in remark for remark in painter.remarks(request))


def test_a_whole_request_is_painted_as_it_is(painter: Painter, studio: Studio) -> None:
    whole = GenerationRequest(prompt=PROMPT, seed=7)
    assert painter.request(**vars(whole)) == whole
    assert job_routes.to_requests(JobBody(request=whole.to_json()), studio) == [whole]

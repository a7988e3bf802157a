"""What is noted down of the renderer: all that completion needs, and it completes as scenes are rendered."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.lab.scenes.spread import gaps

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.captions import say
from allaprima.lab.scenes.draw import WITHOUT_WEATHER, draw_scene
from allaprima.lab.scenes.people import HAIR
from allaprima.lab.scenes.records import record_renders
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.scenes.telling import Telling
from allaprima.paint.layout.completion import complete
from allaprima.paint.layout.renders import PLACES, Renders, pack_renders, read_renders


@pytest.fixture(scope="module")
def few(sprites: SpriteCache) -> Renders:
    return record_renders(sprites, backgrounds=2, first_seed=3)


def test_every_place_and_every_head_is_noted(few: Renders) -> None:
    assert {place: len(found) for place, found in few.backgrounds.items()} == dict.fromkeys(PLACES, 2)
    assert set(few.hairs) == set(HAIR)
    for kind in HEADS:
        worn = few.outline(kind, "crown")
        assert worn is not None
        assert worn.worn is not None
        assert worn.face is None
    person = few.outline("person", "scarf", "mohawk")
    assert person is not None
    assert person.face is not None
    assert few.outline("car", "crown") == few.outline("car")
    assert few.outline("wyvern") is None
    clouded = {
        place: {background.clouded for background in found} for place, found in few.backgrounds.items()
    }
    assert clouded["forest"] == {False}
    assert clouded["beach"] == {True}


def test_a_table_is_read_as_it_was_written(few: Renders, tmp_path: Path) -> None:
    file = tmp_path / "renders.safetensors"
    file.write_bytes(pack_renders(few, "by a test"))
    read = read_renders(file)
    assert read.outlines.keys() == few.outlines.keys()
    for place in PLACES:
        for one, other in zip(read.backgrounds[place], few.backgrounds[place], strict=True):
            assert one.clouded == other.clouded
            assert [(t.kind, t.layer, t.color) for t in one.things] == [
                (t.kind, t.layer, t.color) for t in other.things
            ]
            edges = [edge for thing in one.things for edge in thing.box]
            assert edges == pytest.approx([edge for thing in other.things for edge in thing.box], abs=1e-3)


def told_whole(scene: Scene) -> str:
    """Return a caption that tells everything but what a person looks like."""
    told = {"place", "hour", "count", "accessory"}
    told |= {"size"} if any(subject.size != "medium" for subject in scene.subjects) else set()
    told |= {"weather"} if scene.place not in WITHOUT_WEATHER else set()
    told |= {"side"} if len(scene.subjects) > 1 else set()
    telling = Telling(scene=scene, subjects=scene.subjects, told=frozenset(told))
    return say(telling, random.Random(scene.seed), "en")


@pytest.mark.slow
def test_completed_layouts_are_spread_as_rendered_ones(sprites: SpriteCache, tmp_path: Path) -> None:
    file = tmp_path / "renders.safetensors"
    file.write_bytes(pack_renders(record_renders(sprites, backgrounds=64, first_seed=7_000_000), "by a test"))
    renders = read_renders(file)
    known = {name.split("|")[0] for name in renders.outlines}
    scenes = [draw_scene(seed, split="any") for seed in range(12_000)]
    scenes = [scene for scene in scenes if all(subject.kind in known for subject in scene.subjects)][:1000]
    assert len(scenes) == 1000
    rendered = [render_scene(scene, sprites).things for scene in scenes]
    completed = [complete((), told_whole(scene), 50_000 + scene.seed, renders=renders) for scene in scenes]
    found = gaps(rendered, completed)
    assert {"subject  x", "subject  height", "behind cloud count", "ground sky bottom"} <= set(found)
    # Twice what chance gives: the things of one picture hang together, and a place has 64 backgrounds.
    assert {name: pair for name, pair in found.items() if pair[0] > 2 * pair[1]} == {}

"""Completed layouts: what is given stays, what is open hangs on the seed, and all of it is as scenes are rendered."""

from __future__ import annotations

from hashlib import sha256

import pytest

from allaprima.core.layout import LAYERS, Box, Layout, PaintedLayout, Thing
from allaprima.core.layout_json import painted_from_json, painted_to_json
from allaprima.paint.layout.completion import complete, whole_layers
from allaprima.paint.layout.renders import PLACES, shipped_renders
from allaprima.paint.layout.subjects import SUBJECTS

CELL = 1 / 16


def of(layout: Layout, *layers: str) -> list[Thing]:
    return [thing for thing in layout if thing.layer in layers]


def middle(thing: Thing) -> float:
    return (thing.box.left + thing.box.right) / 2


def test_everything_gets_a_box_in_the_order_of_the_renderer() -> None:
    layout = complete((), "a person wearing a crown and two cats on a beach", 5)
    assert [thing.kind for thing in of(layout, "subject")].count("cat") == 2
    assert {thing.kind for thing in of(layout, "part")} == {"face", "crown"}
    assert {"sky", "water", "sand"} <= {thing.kind for thing in of(layout, "ground")}
    assert layout[0].kind == "sky"
    assert [thing.layer in ("subject", "part") for thing in layout] == sorted(
        thing.layer in ("subject", "part") for thing in layout
    )
    subjects = of(layout, "subject")
    assert [thing.box.bottom for thing in subjects] == sorted(thing.box.bottom for thing in subjects)
    by_number = sorted(subjects, key=lambda thing: thing.number)
    assert [thing.number for thing in by_number] == [0, 1, 2]
    assert [middle(thing) for thing in by_number] == sorted(map(middle, subjects))
    person = next(thing for thing in subjects if thing.kind == "person")
    assert all(part.number == person.number for part in of(layout, "part"))


def test_another_word_for_the_subject_moves_nothing() -> None:
    steps = []
    for seed in range(40):
        cat, dog = (complete((), f"a {kind} on a rooftop at sunset", seed) for kind in ("cat", "dog"))
        assert of(cat, "ground", "behind") == of(dog, "ground", "behind")
        (one,), (other,) = of(cat, "subject"), of(dog, "subject")
        assert (one.box.top, one.box.bottom) == (other.box.top, other.box.bottom)
        steps.append(abs(middle(one) - middle(other)))
    # A corner lies on the lattice: where one is rounded to the left and one to the right, the middle moves.
    assert max(steps) < CELL
    assert sum(step < CELL / 5 for step in steps) >= 34


def test_another_place_moves_no_subject_and_another_hour_only_the_sky() -> None:
    moved = set()
    for seed in range(12):
        beach, forest = (
            complete((), f"a cat and a dog {where}", seed) for where in ("on a beach", "in a forest")
        )
        assert of(beach, "subject", "part") == of(forest, "subject", "part")
        day, night = (complete((), f"a fox in the mountains {when}", seed) for when in ("by day", "at night"))
        hung = ("sun", "moon", "cloud")
        assert [t for t in day if t.kind not in hung] == [t for t in night if t.kind not in hung]
        moved.add("moon" in {t.kind for t in night} and "moon" not in {t.kind for t in day})
    assert moved == {True}


def test_both_languages_give_the_same_layout() -> None:
    for seed in range(8):
        english = complete((), "two cats wearing crowns on a rooftop at sunset in the rain", seed)
        assert english == complete((), "屋顶上有两只戴着皇冠的猫，日落时，下着雨", seed)


def test_seeds_differ_and_the_same_one_never_does() -> None:
    layouts = {complete((), "a cat", seed) for seed in range(40)}
    assert len(layouts) == 40
    assert len({layout[-1].box for layout in layouts}) > 8
    # On every machine, with every version of Python.
    text = "\n".join(repr(complete((), "a person, three cats and a tree", seed)) for seed in range(20))
    assert sha256(text.encode()).hexdigest()[:16] == "3238697af11df4dc"


def test_what_is_given_stays_as_it_is() -> None:
    cat = Thing(kind="猫", box=Box(0.55, 0.3, 0.95, 0.9), number=3, color=(9, 8, 7))
    sun = Thing(kind="sun", box=Box(0.4, 0.4, 0.5, 0.5), layer="behind")
    kiosk = Thing(kind="kiosk", box=Box(0.0, 0.3, 0.2, 0.7), layer="behind")
    given = (sun, kiosk, cat)
    for seed in range(12):
        layout = complete(given, "a cat and a dog on the beach at sunset", seed)
        assert [thing for thing in layout if thing in given] == list(given)
        assert [thing.kind for thing in layout].count("sun") == 1
        (dog,) = (thing for thing in layout if thing.kind == "dog")
        assert middle(dog) < middle(cat)
        assert dog.number != cat.number
        assert len(of(layout, "subject")) == 2


@pytest.mark.parametrize(
    "prompt",
    ["a person wearing a crown and three dogs in the city at night", "a cat", "a portrait", "森林里的小鹿"],
)
def test_a_completed_layout_is_complete(prompt: str) -> None:
    for seed in range(10):
        layout = complete((), prompt, seed)
        assert complete(layout, prompt, seed) == layout


def test_new_subjects_make_room_for_given_ones() -> None:
    for seed in range(12):
        ball = Thing(kind="basketball", box=Box(0.4, 0.5, 0.65, 0.75))
        layout = complete((ball,), "a cat in a park", seed)
        (cat,) = (thing for thing in layout if thing.kind == "cat")
        across = min(cat.box.right, ball.box.right) - max(cat.box.left, ball.box.left)
        down = min(cat.box.bottom, ball.box.bottom) - max(cat.box.top, ball.box.top)
        assert max(0, across) * max(0, down) <= 0.3 * ball.box.width * ball.box.height + 1e-9


def test_a_given_thing_behind_stands_in_for_one_of_its_kind() -> None:
    prompt = "a cat on a snowfield at night"
    bare = complete((), prompt, 4)
    for name, kind in (("evergreen tree", "evergreen tree"), ("松树", "evergreen tree"), ("月亮", "moon")):
        given = Thing(kind=name, box=Box(0.3, 0.3, 0.4, 0.5), layer="behind")
        layout = complete((given,), prompt, 4)
        gone = [thing for thing in bare if thing not in layout]
        assert len(layout) == len(bare)
        assert given in layout
        assert [thing.kind for thing in gone] == [kind]


def test_a_picture_has_room_for_so_many_kinds() -> None:
    prompt = " and ".join(f"a {kind}" for kind in list(SUBJECTS)[:30]) + " cat" * 4000
    layout = complete((Thing(kind="ball", box=Box(0.4, 0.4, 0.6, 0.6)),), prompt, 2)
    assert len(of(layout, "subject")) == 1 + 9
    assert "subject" not in whole_layers(layout, prompt)
    crowd = tuple(
        Thing(kind="person", box=Box(x / 8, y / 8, x / 8 + 0.1, y / 8 + 0.1), number=8 * y + x)
        for y in range(8)
        for x in range(8)
    )
    painted = PaintedLayout(things=complete(crowd, "nine cats, nine dogs and nine foxes", 2))
    assert len(of(painted.things, "subject")) == 64 + 27
    assert painted_from_json(painted_to_json(painted)) == painted
    assert [thing for thing in painted.things if thing in crowd] == list(crowd)


def test_a_given_person_gets_a_face_in_its_box_once() -> None:
    box = Box(0.1, 0.2, 0.5, 0.7)
    layout = complete((Thing(kind="人", box=box),), "a person with headphones on a stage", 3)
    face, phones = of(layout, "part")
    assert (face.kind, phones.kind) == ("face", "headphones")
    assert box.left < face.box.left < face.box.right < box.right
    own = Thing(kind="face", box=Box(0.2, 0.3, 0.4, 0.5), layer="part")
    layout = complete((Thing(kind="person", box=box), own), "a person on a stage", 3)
    assert of(layout, "part") == [own]


def test_unknown_words_leave_the_subjects_open() -> None:
    layout = complete((), "a wyvern and a cat", 1)
    assert whole_layers(layout, "a wyvern and a cat") == {"ground", "behind"}
    assert whole_layers(complete((), "a cat", 1), "a cat") == set(LAYERS)
    nobody = complete((), "a forest at night", 1)
    assert of(nobody, "subject") == []
    assert "evergreen tree" in {thing.kind for thing in nobody}
    assert whole_layers(nobody, "a forest at night") == {"ground", "behind"}


def test_the_table_that_ships_has_every_kind_and_place() -> None:
    renders = shipped_renders()
    assert all(renders.outline(kind) is not None for kind in SUBJECTS)
    assert len(renders.hairs) == 8
    assert all(len(renders.backgrounds[place]) == 64 for place in PLACES)
    for place in PLACES:
        for background in renders.backgrounds[place]:
            assert any(thing.layer == "ground" for thing in background.things)
            assert not {"sun", "moon", "cloud"} & {thing.kind for thing in background.things}
    for layout in (complete((), f"a {kind}", 1) for kind in SUBJECTS):
        (thing,) = of(layout, "subject")
        assert 0 <= thing.box.left < thing.box.right <= 1
        assert 0 <= thing.box.top < thing.box.bottom <= 1

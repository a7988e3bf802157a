"""People: parts that fit together, names that mean one picture, clothes that leave the head alone."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
import resvg_py
from PIL import Image
from tests.lab.scenes.crowd import OF_IDENTITY, OF_PERSON, PLAIN, TABLES, drawn

from allaprima.lab.scenes import people
from allaprima.lab.scenes.spec import Person

SIZE = 96
CLOTHES_TOP = 0.77
"""Share of the avatar's square, from its top, that no clothes reach: the head as it is in any clothes."""


def paint(person: Person) -> npt.NDArray[np.uint8]:
    """RGBA pixels, (SIZE, SIZE, 4)."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=people.person_svg(person), width=SIZE, height=SIZE))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def change(person: Person, field: str, name: str | None) -> Person:
    change_of: dict[str, str | None] = {field: name}
    if field in OF_PERSON:
        return replace(person, **change_of)  # type: ignore[arg-type]
    return replace(person, identity=replace(person.identity, **change_of))  # type: ignore[arg-type]


def test_the_same_seed_draws_the_same_people() -> None:
    assert drawn(50, seed=7) == drawn(50, seed=7)
    assert drawn(50, seed=7) != drawn(50, seed=8)


def test_draws_reach_every_name_of_every_table() -> None:
    crowd = drawn(2000)
    for field, table in TABLES.items():
        owner = [person.identity if field in OF_IDENTITY else person for person in crowd]
        assert {getattr(one, field) for one in owner} - {None} == set(table), field
    assert any(person.glasses is None for person in crowd)
    assert any(person.identity.beard is None for person in crowd)


def test_there_are_many_identities() -> None:
    assert len({person.identity for person in drawn(3000)}) > 2900


def test_a_hair_colour_that_cannot_be_seen_is_always_black() -> None:
    for face in (person.identity for person in drawn(3000)):
        if face.hair == "bald" and face.beard != "beard":
            assert face.hair_color == "black"


@pytest.mark.parametrize("field", TABLES)
def test_every_name_of_a_field_is_a_picture_of_its_own(field: str) -> None:
    pictures = {name: paint(change(PLAIN, field, name)).tobytes() for name in TABLES[field]}
    assert len(set(pictures.values())) == len(pictures)
    if field in {"glasses", "beard"}:
        assert paint(PLAIN).tobytes() not in pictures.values()


def test_svg_is_well_formed_and_fully_filled_in() -> None:
    for person in drawn(100):
        svg = people.person_svg(person)
        root = ET.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.attrib["viewBox"] == "0 0 360 360"
        assert "@" not in svg


def test_people_fill_their_square_on_a_transparent_ground() -> None:
    alpha = paint(PLAIN)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[-1, SIZE // 2] == 255
    assert 0.3 < float((alpha > 128).mean()) < 0.8


def test_clothes_leave_the_head_as_it_is() -> None:
    top = int(SIZE * CLOTHES_TOP)
    for person in drawn(12, seed=3):
        head = paint(person)[:top]
        for clothes in people.CLOTHES:
            changed = replace(person, clothes=clothes, clothes_color="green")
            assert np.array_equal(paint(changed)[:top], head)


def test_expression_and_glasses_leave_hair_and_shoulders_as_they_are() -> None:
    before = paint(PLAIN)
    after = paint(replace(PLAIN, expression="laugh", glasses="round"))
    rows, columns = np.nonzero((before != after).any(axis=-1))
    assert rows.min() > SIZE * 0.25
    assert rows.max() < SIZE * 0.75
    assert columns.min() > SIZE * 0.25


@pytest.mark.parametrize("hair_color", ["black", "brown"])
def test_a_mouth_shows_on_a_dark_beard(hair_color: str) -> None:
    bearded = change(change(PLAIN, "beard", "beard"), "hair_color", hair_color)
    smile, sad = paint(bearded), paint(replace(bearded, expression="sad"))
    assert np.abs(smile.astype(int) - sad.astype(int)).max() > 100


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"hair cannot be 'wig'.*mohawk"):
        people.person_svg(change(PLAIN, "hair", "wig"))


def test_anchors_lie_on_the_head() -> None:
    for hair in people.HAIR:
        person = change(PLAIN, "hair", hair)
        anchor = people.head_anchor(person)
        assert all(0 < getattr(anchor, one.name) < 1 for one in fields(anchor) if one.name != "tilt")
        assert anchor.top_y < anchor.eyes_y < anchor.neck_y
        alpha = paint(person)[..., 3]
        for x, y in (
            (anchor.eyes_x, anchor.eyes_y),
            (anchor.top_x, anchor.top_y),
            (anchor.neck_x, anchor.neck_y),
        ):
            assert alpha[int(y * SIZE), int(x * SIZE)] == 255

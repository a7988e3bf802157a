"""Layouts as people write them: what comes back unchanged, what is counted for them, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.layout import Box, PaintedLayout, Thing
from allaprima.core.layout_json import (
    MAX_PAINTED,
    MAX_THINGS,
    layout_from_json,
    layout_from_text,
    layout_to_json,
    painted_from_json,
    painted_to_json,
)
from allaprima.core.request import GenerationRequest

CAT: dict[str, Any] = {"kind": "cat", "box": [0.1, 0.4, 0.5, 0.9]}
SUN: dict[str, Any] = {"kind": "sun", "box": [0, 0, 1, 0.5], "layer": "behind", "color": [255, 204, 0]}


def test_what_is_left_out_is_a_subject_of_no_colour() -> None:
    assert layout_from_json([CAT]) == (Thing(kind="cat", box=Box(0.1, 0.4, 0.5, 0.9)),)
    spaced = {**CAT, "kind": " cat ", "layer": None, "number": None, "color": None}
    assert layout_from_json([spaced]) == layout_from_json([CAT])


def test_a_layout_comes_back_from_text() -> None:
    layout = layout_from_json([SUN, CAT, {**CAT, "kind": "黑猫", "number": 3}])
    assert layout_from_text(json.dumps(layout_to_json(layout))) == layout
    painted = PaintedLayout(things=layout, whole=frozenset({"behind", "ground"}))
    assert painted_from_json(json.loads(json.dumps(painted_to_json(painted)))) == painted


def test_subjects_that_nobody_counted_are_counted_from_the_left() -> None:
    dog = {"kind": "dog", "box": [0.6, 0.5, 0.9, 0.9]}
    hat = {"kind": "hat", "box": [0.7, 0.45, 0.8, 0.55], "layer": "part"}
    layout = layout_from_json([SUN, dog, CAT, hat])
    assert [thing.number for thing in layout] == [0, 1, 0, 1]
    assert layout_from_json(layout) == layout
    counted = layout_from_json([{**dog, "number": 0}, {**CAT, "number": 2}])
    assert [thing.number for thing in counted] == [0, 2]
    same = layout_from_json([CAT, CAT])
    assert [thing.number for thing in same] == [0, 1]


BAD: dict[str, Any] = {
    "a string": "a cat on the left",
    "an object": CAT,
    "a number": 7,
    "strings": ["cat"],
    "10,000 things": [CAT] * 10_000,
    "one too many": [CAT] * (MAX_THINGS + 1),
    "no box": [{"kind": "cat"}],
    "no kind": [{"box": CAT["box"]}],
    "an unknown key": [{**CAT, "colour": [1, 2, 3]}],
    "a blank kind": [{**CAT, "kind": "  "}],
    "no text for a kind": [{**CAT, "kind": 5}],
    "a long kind": [{**CAT, "kind": "c" * 65}],
    "a kind with a line break": [{**CAT, "kind": "a\ncat"}],
    "half a character": [{**CAT, "kind": "\ud800"}],
    "three sides": [{**CAT, "box": [0, 0, 1]}],
    "a box of text": [{**CAT, "box": "0, 0, 1, 1"}],
    "sides of text": [{**CAT, "box": ["0", "0", "1", "1"]}],
    "1e308": [{**CAT, "box": [0, 0, 1e308, 1]}],
    "a number of many digits": [{**CAT, "box": [0, 0, 10**400, 1]}],
    "NaN": [{**CAT, "box": [0, float("nan"), 1, 1]}],
    "infinity": [{**CAT, "box": [0, 0, 1, float("inf")]}],
    "true": [{**CAT, "box": [False, 0, True, 1]}],
    "nothing wide": [{**CAT, "box": [0.5, 0, 0.5, 1]}],
    "the wrong way round": [{**CAT, "box": [0.9, 0, 0.1, 1]}],
    "hardly wide": [{**CAT, "box": [0.0, 0.0, 5e-324, 1]}],
    "an unknown layer": [{**CAT, "layer": "front"}],
    "a list for a layer": [{**CAT, "layer": ["subject"]}],
    "a negative number": [{**CAT, "number": -1}],
    "a large number": [{**CAT, "number": 2**80}],
    "half a number": [{**CAT, "number": 0.5}],
    "two levels": [{**CAT, "color": [1, 2]}],
    "levels too high": [{**CAT, "color": [1, 2, 256]}],
    "a colour by name": [{**CAT, "color": "red"}],
    "nested lists": [[[[CAT]]]],
}


@pytest.mark.parametrize("layout", BAD.values(), ids=BAD)
def test_what_is_no_layout_is_refused_in_a_sentence(layout: Any) -> None:
    with pytest.raises(RequestError, match="expected") as caught:
        GenerationRequest.from_json({"prompt": "a cat", "layout": layout})
    assert caught.value.field == "layout"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["", "cat", "[", "{}", "[NaN]", "[" * 100_000, '[{"kind": "cat"}]'])
def test_text_that_is_no_layout_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="expected"):
        layout_from_text(text)


def test_python_is_told_what_a_layout_is() -> None:
    thing = Thing(kind="cat", box=Box(0.0, 0.0, 1.0, 9.0))
    for layout in ([thing], "cat", (CAT,), (thing,)):
        with pytest.raises(RequestError, match="expected"):
            GenerationRequest(prompt="a cat", layout=layout)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="expected true or false"):
        GenerationRequest(prompt="a cat", complete_layout=1)  # type: ignore[arg-type]


def test_what_was_painted_may_be_more_than_what_is_asked() -> None:
    many = PaintedLayout(things=layout_from_json([CAT]) * MAX_PAINTED)
    assert len(painted_from_json(painted_to_json(many)).things) == MAX_PAINTED
    bad: list[Any] = [
        {},
        [],
        {"things": [], "whole": 1},
        {"things": [], "whole": ["front"]},
        {"things": [CAT] * (MAX_PAINTED + 1), "whole": []},
    ]
    for data in bad:
        with pytest.raises(RequestError, match="expected"):
            painted_from_json(data)


def test_what_says_nothing_takes_no_room_in_json() -> None:
    plain = GenerationRequest(prompt="a cat")
    assert not {"layout", "complete_layout"} & set(plain.to_json())
    told = GenerationRequest(prompt="a cat", layout=layout_from_json([CAT]), complete_layout=False)
    assert told.to_json()["layout"] == [{**CAT, "layer": "subject", "number": 0}]
    assert told.to_json()["complete_layout"] is False

"""Layouts as people and programs write them: a JSON list of things, from back to front.

    [{"kind": "sun", "box": [0.6, 0.1, 0.8, 0.3], "layer": "behind", "color": [255, 204, 0]},
     {"kind": "cat", "box": [0.1, 0.4, 0.5, 0.9]}]

`kind` and `box` have to be there. Without a layer a thing is a subject; without a colour that stays open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from allaprima.core.errors import RequestError
from allaprima.core.layout import LAYERS, Box, Layout, PaintedLayout, Thing
from allaprima.core.request_values import check_text, is_number, shorten

MAX_THINGS: Final = 64
MAX_PAINTED: Final = 4 * MAX_THINGS
"""Things of a layout that was completed."""
MAX_KIND_CHARS: Final = 64
LOWEST, HIGHEST = -2.0, 3.0
"""Between which the sides of a box lie, in fractions of the picture's."""
SMALLEST: Final = 1e-4
"""Width and height of a box; less is nothing in any picture."""
_KEYS: Final = frozenset({"kind", "box", "layer", "number", "color"})
_EXAMPLE: Final = '{"kind": "cat", "box": [0.1, 0.4, 0.5, 0.9]}'
FIELD: Final = "layout"


def layout_to_json(layout: Layout) -> list[dict[str, Any]]:
    """Return things as plain data, which `layout_from_json` takes back unchanged."""
    return [
        {
            "kind": thing.kind,
            "box": list(thing.box),
            "layer": thing.layer,
            "number": thing.number,
            **({} if thing.color is None else {"color": list(thing.color)}),
        }
        for thing in layout
    ]


def painted_to_json(layout: PaintedLayout) -> dict[str, Any]:
    """Return what a base was told stands where as plain data."""
    return {
        "things": layout_to_json(layout.things),
        "whole": [layer for layer in LAYERS if layer in layout.whole],
    }


def painted_from_json(data: object) -> PaintedLayout:
    """Return what `painted_to_json` has made plain data of; RequestError for anything else."""
    if (
        not isinstance(data, Mapping)
        or set(data) != {"things", "whole"}
        or not isinstance(data["whole"], list)
        or not all(layer in LAYERS for layer in data["whole"])
    ):
        raise RequestError(f"got the painted layout {shorten(data)}; expected things and whole", field=FIELD)
    things = layout_from_json(data["things"], most=MAX_PAINTED)
    return PaintedLayout(things=things, whole=frozenset(data["whole"]))


def layout_from_json(data: object, *, most: int = MAX_THINGS) -> Layout:
    """Return the things in a list of objects, `most` of them or fewer.

    Raises:
        RequestError: it is no such list, holds too many things, or one of them cannot be used.
    """
    if not isinstance(data, list | tuple):
        raise RequestError(
            f"got the layout {shorten(data)}; expected a list of things such as {_EXAMPLE}", field=FIELD
        )
    _check_count(len(data), most)
    return check_layout(tuple(one if isinstance(one, Thing) else _to_thing(one) for one in data), most=most)


def layout_from_text(text: str) -> Layout:
    """Return the things in JSON text, as `layout_from_json`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(
            f"got a layout that is no JSON; expected a list of things such as [{_EXAMPLE}]", field=FIELD
        ) from None
    return layout_from_json(data)


def check_layout(layout: object, *, most: int = MAX_THINGS) -> Layout:
    """Return a request's layout with plain numbers, its subjects counted from the left where nobody counted them.

    Raises:
        RequestError: it is no tuple of things, there are too many, or one of them is out of range.
    """
    if layout == ():
        return ()
    if not isinstance(layout, tuple) or not all(isinstance(one, Thing) for one in layout):
        raise RequestError(f"got the layout {shorten(layout)}; expected a tuple of Thing", field=FIELD)
    _check_count(len(layout), most)
    return _counted(tuple(map(_checked, layout)))


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise RequestError(f"got a layout of {count:,} things; expected at most {most}", field=FIELD)


def _to_thing(data: object) -> Thing:
    if not isinstance(data, Mapping) or not {"kind", "box"} <= set(data) <= _KEYS:
        raise RequestError(
            f"got {shorten(data, 80)} in the layout; expected an object such as {_EXAMPLE}, and perhaps layer, "
            "number and color",
            field=FIELD,
        )
    box, color = data["box"], data.get("color")
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise RequestError(
            f"got the box {shorten(box)} in the layout; expected left, top, right and bottom, as in "
            "[0.1, 0.4, 0.5, 0.9]",
            field=FIELD,
        )
    given = {**data, "box": _to_box(box), "color": tuple(color) if isinstance(color, list) else color}
    return _made({name: value for name, value in given.items() if value is not None})


def _to_box(sides: list[Any] | tuple[Any, ...]) -> Box:
    if not all(is_number(side, LOWEST, HIGHEST) for side in sides):
        raise RequestError(
            f"got the box {shorten(list(sides), 80)} in the layout; expected numbers from {LOWEST:g} to "
            f"{HIGHEST:g}, in fractions of the picture's sides",
            field=FIELD,
        )
    box = Box(*map(float, sides))
    if min(box.width, box.height) < SMALLEST:
        raise RequestError(
            f"got the box {shorten(list(sides), 80)} in the layout; expected left < right and top < bottom, by at "
            f"least {SMALLEST:g}",
            field=FIELD,
        )
    return box


def _made(given: Mapping[str, Any]) -> Thing:
    """Return the thing of these fields, checked."""
    kind, number, color = given["kind"], given.get("number", 0), given.get("color")
    check_text("kind", kind, MAX_KIND_CHARS, field=FIELD)
    if not kind.strip():
        raise RequestError(
            "got a thing without a kind in the layout; expected a word such as cat", field=FIELD
        )
    if given.get("layer", LAYERS[0]) not in LAYERS:
        raise RequestError(
            f"got the layer {shorten(given['layer'])} for {kind!r}; expected one of {', '.join(LAYERS)}",
            field=FIELD,
        )
    if not _is_whole(number, 0, MAX_THINGS - 1):
        raise RequestError(
            f"got the number {shorten(number)} for {kind!r}; expected 0 to {MAX_THINGS - 1}", field=FIELD
        )
    if color is not None and not (
        isinstance(color, tuple) and len(color) == 3 and all(_is_whole(level, 0, 255) for level in color)
    ):
        raise RequestError(
            f"got the color {shorten(color)} for {kind!r}; expected red, green and blue, as in [255, 204, 0]",
            field=FIELD,
        )
    return Thing(**{**given, "kind": kind.strip()})


def _checked(thing: Thing) -> Thing:
    given = dict(vars(thing))
    return _made(given | {"box": _to_box(tuple(thing.box))})


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _counted(layout: Layout) -> Layout:
    """Return a layout whose subjects are counted from the left, and its parts with them; as it is if they are."""
    subjects = [thing for thing in layout if thing.layer == "subject"]
    if len(subjects) < 2 or any(thing.number for thing in layout):
        return layout
    from_left = sorted(subjects, key=lambda thing: _middle(thing.box)[0])

    def number_of(thing: Thing) -> int:
        if thing.layer == "subject":
            return next(index for index, one in enumerate(from_left) if one is thing)
        return min(range(len(from_left)), key=lambda index: _distance(from_left[index].box, thing.box))

    return tuple(
        replace(thing, number=number_of(thing)) if thing.layer in ("subject", "part") else thing
        for thing in layout
    )


def _middle(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def _distance(whole: Box, part: Box) -> float:
    """Return how far the middle of a part is from that of a box, in the box's half sides: up to 1 it is inside."""
    (x, y), (a, b) = _middle(whole), _middle(part)
    return max(abs(a - x) / whole.width, abs(b - y) / whole.height) * 2

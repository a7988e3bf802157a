"""Grids: one request with two or three of its fields varied, a picture for each combination.

    axes = (Axis.parse("seed=1..3"), Axis.parse("lora:ink=0,0.5,1"))
    cells = plan_cells(axes)        # nine, each with a value of either axis

The first axis runs across, the second down, the third makes a block of each of its values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from allaprima.core.errors import RequestError
from allaprima.core.infotext import parse_size
from allaprima.core.request import LoraUse

MAX_AXES = 3
MAX_CELLS = 400
_LORA = "lora:"
_FIELDS = {
    "prompt": "prompt", "negative": "negative_prompt", "seed": "seed", "steps": "steps", "guidance": "guidance",
    "schedule": "schedule", "size": "size",
}  # fmt: skip
"""What may be varied, besides the weight of a LoRA, to the fields of a request."""
_WORDS = ("prompt", "negative")
"""Their values hold commas, so semicolons part them."""
_EXPECTED = (
    f"expected one of {', '.join(_FIELDS)} or lora:NAME with values, such as seed=1,2,3, steps=1..4, "
    'lora:ink=0,0.5,1 or "prompt=a cat; a dog"'
)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A field and the values that it takes along one side of a grid."""

    name: str
    """As it is written: seed, steps, lora:ink, ..."""
    values: tuple[Any, ...]
    """At least one."""

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Return the axis that a text such as "seed=1..3" means.

        Raises:
            RequestError: it means none.
        """
        name, sign, listed = text.partition("=")
        name = name.strip()
        if not sign or not (name in _FIELDS or (name.startswith(_LORA) and name != _LORA)):
            raise RequestError(f"got --axis {text[:60]!r}; {_EXPECTED}")
        parts = [part.strip() for part in listed.split(";" if name in _WORDS else ",")]
        texts = [each for part in parts for each in _spread(name, part)]
        values = tuple(_value(name, each) for each in texts)
        if len(values) > MAX_CELLS:
            raise RequestError(f"got {len(values)} values of {name}; expected at most {MAX_CELLS}")
        return cls(name=name, values=values)

    def label(self, value: Any) -> str:
        """Return what stands beside the pictures that have `value`."""
        if self.name in _WORDS:
            return str(value) if self.name == "prompt" else f"not: {value}"
        name = self.name.removeprefix(_LORA)
        return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"

    def change(self, given: Mapping[str, Any], value: Any) -> dict[str, Any]:
        """Return `given`, fields of a request, with this one at `value`."""
        if self.name.startswith(_LORA):
            name = self.name.removeprefix(_LORA)
            others = (use for use in given.get("loras", ()) if use.name != name)
            return {**given, "loras": (*others, LoraUse(name=name, weight=value))}
        if self.name == "size":
            width, height = parse_size(value)
            return {**given, "width": width, "height": height}
        return {**given, _FIELDS[self.name]: value}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"field": self.name, "values": list(self.values)}


def plan_cells(axes: Sequence[Axis]) -> list[tuple[Any, ...]]:
    """Return the values of each picture, one of each axis, row by row and block by block.

    Raises:
        RequestError: there are too few axes or too many, two of a kind, or more pictures than `MAX_CELLS`.
    """
    if not 1 <= len(axes) <= MAX_AXES:
        raise RequestError(
            f"got {len(axes)} axes; expected 1 to {MAX_AXES}, as in --axis seed=1,2,3 --axis steps=1,4"
        )
    names = [axis.name for axis in axes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RequestError(f"got {twice[0]} along two axes; expected another field for each")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MAX_CELLS:
        raise RequestError(f"got a grid of {count} pictures; expected at most {MAX_CELLS}")
    return [cell[::-1] for cell in product(*(axis.values for axis in reversed(axes)))]


def _spread(name: str, part: str) -> list[str]:
    """Return the numbers of a range such as 1..4, both ends counted; of anything else itself."""
    found = re.fullmatch(r"(\d{1,19})\.\.(\d{1,19})", part)
    if found is None or name not in ("seed", "steps"):
        return [part]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MAX_CELLS:
        raise RequestError(f"got {name}={part}; expected at most {MAX_CELLS} numbers, the smaller first")
    return [str(number) for number in range(first, last + 1)]


def _value(name: str, text: str) -> Any:
    if name == "size":
        parse_size(text)
        return text
    kind: Any = float if name.startswith(_LORA) or name == "guidance" else int
    if name in (*_WORDS, "schedule"):
        if not text and name != "negative":
            raise RequestError(f"got an empty value of {name}; {_EXPECTED}")
        return text
    try:
        return kind(text)
    except ValueError:
        raise RequestError(f"got {name} {text[:40]!r}; expected a number") from None

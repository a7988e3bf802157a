"""What is done to a picture after it was painted, or photographed: plain data, in the order in which it is done.

    operations = (Upscale(scale=2),)
    assert operations_from_json(operations_to_json(operations)) == operations

A picture file carries these beside the request that it was painted from. What they do is in `paint/retouch`. A new
operation is a dataclass here, with a `name`, in `OPERATIONS`, and a function there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest

MAX_OPERATIONS = 16
MAX_SCALE = 8.0
MAX_NAME_CHARS = 200
SHIPPED_UPSCALER = "vignette"
"""The name of the upscaler inside the package."""
SHIPPED_FINDER = "vignette"
"""The name of the network inside the package that finds subjects."""
STYLE_NAMES = ("fluent", "flat", "line", "noto")
"""The styles that have names: Fluent Emoji's, its flat drawings', its line drawings' and Noto Emoji's."""
MAX_POINTS = 16


@dataclass(frozen=True, kw_only=True)
class Upscale:
    """More pixels. Raises RequestError for values outside the ranges."""

    name: ClassVar[str] = "upscale"
    scale: float = 2.0
    """How many times as many pixels a side: more than 1, at most 8."""
    upscaler: str = SHIPPED_UPSCALER
    """The upscaler's name: vignette, or the name or path of a weight file of the user's."""

    def __post_init__(self) -> None:
        scale: object = self.scale
        if not isinstance(scale, int | float) or isinstance(scale, bool) or not 1.0 < scale <= MAX_SCALE:
            raise RequestError(f"got scale {str(scale)[:40]}; expected more than 1, at most {MAX_SCALE:g}")
        object.__setattr__(self, "scale", float(scale))
        check_name("upscaler", self.upscaler)

    @property
    def settings(self) -> dict[str, str]:
        """What other programs read of it in an infotext, in A1111's words."""
        return {"Postprocess upscale by": f"{self.scale:g}", "Postprocess upscaler": self.upscaler}

    def without_paths(self) -> Upscale:
        """Return the operation as a picture may tell it to strangers: a file of the user's by its name alone."""
        return replace(self, upscaler=Path(self.upscaler).name)


@dataclass(frozen=True, kw_only=True)
class Deblock:
    """The same picture without the blocks that few steps leave in it. Raises RequestError for a name that is none."""

    name: ClassVar[str] = "deblock"
    network: str
    """The path of a weight file that `prima train deblock` and `release` made."""

    def __post_init__(self) -> None:
        check_name("de-block network", self.network)

    @property
    def settings(self) -> dict[str, str]:
        """What a person reads of it in an infotext."""
        return {"Postprocess de-block": Path(self.network).name}

    def without_paths(self) -> Deblock:
        """Return the operation as a picture may tell it to strangers."""
        return replace(self, network=Path(self.network).name)


@dataclass(frozen=True, kw_only=True)
class CutOut:
    """The subject alone: what is behind it becomes transparent. Raises RequestError for values outside the ranges."""

    name: ClassVar[str] = "cut-out"
    finder: str = SHIPPED_FINDER
    """What finds the subject: vignette, or the name or path of weights of the user's."""
    points: tuple[tuple[float, float], ...] = ()
    """Where the subject is, in pixels (x, y), for weights that one points with."""
    box: tuple[float, float, float, float] | None = None
    """Around the subject: left, top, right and bottom in pixels, for such weights."""

    def __post_init__(self) -> None:
        check_name("finder", self.finder)
        points: object = self.points
        if not isinstance(points, list | tuple) or len(points) > MAX_POINTS:
            raise RequestError(
                f"got points {str(self.points)[:40]!r}; expected at most {MAX_POINTS} of x and y"
            )
        object.__setattr__(self, "points", tuple(_numbers("point", one, 2) for one in self.points))
        if self.box is not None:
            object.__setattr__(self, "box", _numbers("box", self.box, 4))

    @property
    def settings(self) -> dict[str, str]:
        """What a person reads of it in an infotext."""
        return {"Postprocess cut-out": self.finder}

    def without_paths(self) -> CutOut:
        """Return the operation as a picture may tell it to strangers."""
        return replace(self, finder=Path(self.finder).name)


@dataclass(frozen=True, kw_only=True)
class NewBackground:
    """The subject in another place, painted from words. Raises RequestError for values outside the ranges."""

    name: ClassVar[str] = "background"
    prompt: str
    """The place."""
    seed: int = 0
    """Another seed, another view of it."""
    subject: CutOut = field(default_factory=CutOut)
    """How the subject is found, where the picture has no transparent background already."""

    def __post_init__(self) -> None:
        GenerationRequest(prompt=self.prompt, seed=self.seed)  # it knows what words and seeds are
        if isinstance(self.subject, Mapping):
            object.__setattr__(self, "subject", CutOut(**_known(CutOut, self.subject)))
        subject: object = self.subject
        if not isinstance(subject, CutOut):
            raise RequestError(
                f"got subject {str(subject)[:40]!r}; expected how the subject is found, as for cut-out"
            )

    @property
    def settings(self) -> dict[str, str]:
        """What a person reads of it in an infotext."""
        return {"Postprocess background": self.prompt}

    def without_paths(self) -> NewBackground:
        """Return the operation as a picture may tell it to strangers."""
        return replace(self, subject=self.subject.without_paths())


@dataclass(frozen=True, kw_only=True)
class Restyle:
    """The same picture in another hand. Raises RequestError for values outside the ranges."""

    name: ClassVar[str] = "restyle"
    style: str
    """One of `STYLE_NAMES`, or the path of a picture whose style it is to be."""
    strength: float = 1.0
    """0 keeps the picture's own style, 1 takes the other one."""

    def __post_init__(self) -> None:
        check_name("style", self.style)
        strength: object = self.strength
        if not isinstance(strength, int | float) or isinstance(strength, bool) or not 0.0 <= strength <= 1.0:
            raise RequestError(f"got strength {str(strength)[:40]}; expected 0 to 1")
        object.__setattr__(self, "strength", float(strength))

    @property
    def settings(self) -> dict[str, str]:
        """What a person reads of it in an infotext."""
        return {"Postprocess style": self.style, "Postprocess style strength": f"{self.strength:g}"}

    def without_paths(self) -> Restyle:
        """Return the operation as a picture may tell it to strangers."""
        return replace(self, style=Path(self.style).name)


@dataclass(frozen=True, kw_only=True)
class Repaint:
    """The picture painted over at the size that it has now, by the base and the words that it was painted from.

    After an upscale that is what others call a hires fix. Raises RequestError for values outside the ranges.
    """

    name: ClassVar[str] = "repaint"
    strength: float = 0.3
    """How much of it is painted anew: more than 0; 1 forgets it."""

    def __post_init__(self) -> None:
        strength: object = self.strength
        if not isinstance(strength, int | float) or isinstance(strength, bool) or not 0.0 < strength <= 1.0:
            raise RequestError(f"got strength {str(strength)[:40]}; expected more than 0, at most 1")
        object.__setattr__(self, "strength", float(strength))

    @property
    def settings(self) -> dict[str, str]:
        """What a person reads of it in an infotext."""
        return {"Hires strength": f"{self.strength:g}"}

    def without_paths(self) -> Repaint:
        """Return the operation as a picture may tell it to strangers."""
        return self


Operation = CutOut | NewBackground | Repaint | Restyle | Upscale | Deblock
"""Any of the operations."""
OPERATIONS: dict[str, type[Operation]] = {kind.name: kind for kind in get_args(Operation)}
"""The operations by their names."""


def operations_to_json(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return plain values that `operations_from_json` takes back unchanged."""
    return [{"operation": one.name, **asdict(one)} for one in operations]


def operations_from_json(data: object) -> tuple[Operation, ...]:
    """Return the operations in a list of objects, each with the key `operation` and the fields of that operation.

    Raises:
        RequestError: an operation or a key is unknown, or a value is out of range.
    """
    if not isinstance(data, list | tuple):
        raise RequestError(f"got retouch {str(data)[:40]!r}; expected a list of operations")
    if len(data) > MAX_OPERATIONS:
        raise RequestError(f"got {len(data)} operations; expected at most {MAX_OPERATIONS}")
    return tuple(map(_operation_from_json, data))


def ends_transparent(operations: Iterable[Operation]) -> bool:
    """Return whether a picture without a transparent pixel has some after the operations."""
    transparent = False
    for operation in operations:
        transparent = transparent or isinstance(operation, CutOut)
        transparent = transparent and not isinstance(operation, NewBackground)
    return transparent


def check_name(what: str, value: object) -> None:
    """Refuse a name that is no printable text of 1 to 200 characters."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise RequestError(f"got {what} {str(value)[:40]!r}; expected a name")
    if len(value) > MAX_NAME_CHARS:
        raise RequestError(f"got a {what} of {len(value)} characters; expected at most {MAX_NAME_CHARS}")


def _operation_from_json(data: object) -> Operation:
    kind = OPERATIONS.get(str(data.get("operation"))) if isinstance(data, Mapping) else None
    if kind is None or not isinstance(data, Mapping):
        expected = ", ".join(OPERATIONS)
        raise RequestError(f"got the retouch {str(data)[:60]!r}; expected an operation, one of {expected}")
    return kind(**_known(kind, {key: value for key, value in data.items() if key != "operation"}))


def _known(kind: type[Operation], data: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of an operation's fields, and refuse keys that are none."""
    values = {str(key): value for key, value in data.items()}
    known = kind.__dataclass_fields__
    if unknown := next((key for key in values if key not in known or key == "name"), None):
        raise RequestError(f"got {kind.name} with unknown key {unknown[:40]!r}; expected {', '.join(known)}")
    try:
        inspect.signature(kind).bind(**values)
    except TypeError as error:
        raise RequestError(f"got {kind.name} without all it needs: {error}") from None
    return values


def _numbers(what: str, value: object, count: int) -> tuple[float, ...]:
    """Return so many finite numbers as floats."""
    parts = value if isinstance(value, list | tuple) else ()
    if len(parts) != count or not all(_is_finite(part) for part in parts):
        raise RequestError(f"got {what} {str(value)[:40]!r}; expected {count} numbers of pixels")
    return tuple(map(float, parts))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

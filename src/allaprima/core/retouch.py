"""What is done to a picture after it was painted, or photographed: plain data, in the order in which it is done.

    operations = (Upscale(scale=2),)
    assert operations_from_json(operations_to_json(operations)) == operations

A picture file carries these beside the request that it was painted from. What they do is in `paint/retouch`. A new
operation is a dataclass here, with a `name`, in `OPERATIONS`, and a function there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from allaprima.core.errors import RequestError

MAX_OPERATIONS = 16
MAX_SCALE = 8.0
MAX_NAME_CHARS = 200
SHIPPED_UPSCALER = "vignette"
"""The name of the upscaler inside the package."""


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


Operation = Upscale
"""Any of the operations."""
OPERATIONS: dict[str, type[Operation]] = {kind.name: kind for kind in (Upscale,)}
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
    values = {str(key): value for key, value in data.items() if key != "operation"}
    known = kind.__dataclass_fields__
    if unknown := next((key for key in values if key not in known or key == "name"), None):
        raise RequestError(f"got {kind.name} with unknown key {unknown[:40]!r}; expected {', '.join(known)}")
    return kind(**values)

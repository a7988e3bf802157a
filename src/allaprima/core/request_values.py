"""What the fields of a request may hold: plain text, whole numbers, numbers; and values in short, for messages."""

from __future__ import annotations

import numbers
import re
import unicodedata

from allaprima.core.errors import RequestError

_CONTROL_SPACE = re.compile(r"[\t-\r\x1c-\x1f\x85]")


def one_line(value: object) -> object:
    """Return text with each run of white space that holds a line break, a tab or the like as one space.

    At the ends such a run goes altogether.
    """
    if not isinstance(value, str) or _CONTROL_SPACE.search(value) is None:
        return value
    text = value

    def joined(run: re.Match[str]) -> str:
        if _CONTROL_SPACE.search(run[0]) is None:
            return run[0]
        return "" if run.start() == 0 or run.end() == len(text) else " "

    return re.sub(r"\s+", joined, text)


def check_text(name: str, value: object, max_chars: int, field: str | None = None) -> None:
    """Refuse what is no text, is too long, or holds control characters.

    Args:
        name: what a message calls it.
        value: what is checked.
        max_chars: how long it may be.
        field: the field of the request that it belongs to; None for the one of that name.
    """
    field = name.replace(" ", "_") if field is None else field
    if not isinstance(value, str):
        raise RequestError(f"got {name} {shorten(value)}; expected text", field=field)
    if len(value) > max_chars:
        message = f"got a {name} of {len(value):,} characters; expected at most {max_chars:,}"
        raise RequestError(message, field=field)
    # Cc are control characters (a terminal would obey them), Cs lone surrogates (no file can hold them).
    for position, char in enumerate(value):
        if unicodedata.category(char) in ("Cc", "Cs"):
            raise RequestError(
                f"got a {name} with the control character U+{ord(char):04X} at position {position}; "
                "expected plain text",
                field=field,
            )


def plain_whole(value: object) -> object:
    """Return whole numbers of other kinds, such as NumPy's, as Python's own; other values as they are."""
    if isinstance(value, bool):
        return value
    return int(value) if isinstance(value, numbers.Integral) else value


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number from `low` to `high`."""
    # bool is an int to Python, but `true` steps in a JSON request is a mistake.
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"got {name} {shorten(value)}; expected a whole number from {low} to {high}"
        raise RequestError(message, field=name)
    if not low <= value <= high:
        raise RequestError(f"got {name} {shorten(value)}; expected {low} to {high}", field=name)


def is_number(value: object, low: float, high: float) -> bool:
    """Return whether it is a number from `low` to `high`, of Python's or of another kind."""
    # NaN is in no range.
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return low <= value <= high
    return isinstance(value, numbers.Real) and low <= float(value) <= high


def shorten(value: object, max_chars: int = 40) -> str:
    """Return `value` for a message: whole when short, never pages of it."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."

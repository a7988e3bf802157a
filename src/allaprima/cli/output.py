"""What every command says the same way: progress on stderr, results on stdout, JSON as the last line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from allaprima.core.errors import UserError

JsonFlag = Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON.")]
"""The option `--json` as every command spells it."""
_MAX_GIB = 2**20
"""More than any machine has, and few enough to count in bytes."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def check_memory(gib: float | None) -> None:
    """Refuse a limit of memory that is not above 0 and below 2^20 GiB."""
    if gib is not None and not 0 < gib < _MAX_GIB:
        raise UserError(f"got --memory {gib:g}; expected more than 0 GiB and fewer than {_MAX_GIB:,}")


def parse_duration(text: str) -> float:
    """Return the seconds of a text such as "90s", "30m", "2h" or "1d"; UserError for any other."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise UserError(f"got the time {text[:20]!r}; expected a number with s, m, h or d, such as 30m")
    return float(match[1]) * _UNITS[match[2]]


def printable(text: str) -> str:
    r"""Return `text` with all that a terminal acts on, or cannot show, written as in JSON: an escape as \u001b."""
    return re.sub(r"[^ -~]", lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return re.sub("....", r"\\u\g<0>", units)


class JsonLine:
    """The one line of JSON that ends stdout, and what there is to say in it if a command stops before its end."""

    def __init__(self) -> None:
        self.finished: dict[str, Any] = {}
        """What is done so far, such as the paths of pictures."""
        self.printed = False
        """Whether the line is out."""

    def print(self, data: Mapping[str, Any]) -> None:
        """Print `data` as one line on stdout, in ASCII where that is all that stdout can show."""
        line = printable(json.dumps(data, ensure_ascii=False, allow_nan=False))
        try:
            line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            line = json.dumps(data, allow_nan=False)
        self.printed = True
        print(line, flush=True)


_line: ContextVar[JsonLine] = ContextVar("json_line")


def begin_line() -> JsonLine:
    """Begin a command, which has printed nothing yet, and return its line."""
    line = JsonLine()
    _line.set(line)
    return line


def note_finished(**facts: Any) -> None:
    """Keep what is done so far for the line of a command that is stopped."""
    if (line := _line.get(None)) is not None:
        line.finished |= facts


def print_json(data: Mapping[str, Any]) -> None:
    """Print `data` as one line on stdout, as the last thing a command prints."""
    (_line.get(None) or JsonLine()).print(data)

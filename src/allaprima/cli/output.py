"""What every command says the same way: progress on stderr, results on stdout, JSON as the last line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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


def print_json(data: Mapping[str, Any]) -> None:
    """Print `data` as one line on stdout, as the last thing a command prints."""
    print(printable(json.dumps(data, ensure_ascii=False, allow_nan=False)), flush=True)

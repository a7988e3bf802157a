"""A file of prompts: one JSON value a line, a text or an object with the fields of a request.

    "a cat on a rooftop"
    {"prompt": "a fox in the desert", "seed": 7, "steps": 4}

What a line says decides where its picture goes and, unless it says one, its seed: the same line comes to the same
picture in the same file on every run, wherever it stands. A line that is there twice comes to two pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allaprima.core.errors import RequestError, UserError
from allaprima.core.files import read_ordinary, slug
from allaprima.core.request import GenerationRequest, fields_from_json

MAX_LINE_CHARS = 100_000
SEED_DIGITS = 8
"""Hexadecimal digits of a line's digest that make its seed."""


@dataclass(frozen=True, kw_only=True)
class BatchLine:
    """One line that asks for a picture."""

    number: int
    """In its file, from 1."""
    stem: str
    """The name of its picture, without the ending."""
    request: GenerationRequest


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """One line from which no picture can be painted."""

    number: int
    """In its file, from 1."""
    reason: str
    """A sentence."""


CompleteLine = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Fills in what a line leaves open; UserError for what cannot be."""


def read_lines(path: Path) -> list[str]:
    """Return the lines of the file; UserError if it cannot be read as text."""
    try:
        return read_ordinary(path.resolve()).decode("utf-8-sig").split("\n")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UserError(
            f"cannot read {path}: {reason}; expected a file with a line of JSON for each picture"
        ) from error


def parse_lines(lines: Iterable[str], complete: CompleteLine) -> Iterator[BatchLine | BadLine]:
    """Yield what each line asks for; blank lines are passed over."""
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _parse(number, line, complete, seen)
        except (UserError, TypeError) as error:
            yield BadLine(number=number, reason=str(error))


def _parse(number: int, line: str, complete: CompleteLine, seen: Counter[str]) -> BatchLine:
    if len(line) > MAX_LINE_CHARS:
        raise RequestError(f"got a line of {len(line):,} signs; expected {MAX_LINE_CHARS:,} at most")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError(f'got {line.strip()[:40]!r}, which is no JSON; expected such as "a cat"') from None
    given = fields_from_json({"prompt": data} if isinstance(data, str) else data)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    seen[digest] += 1
    again = seen[digest] - 1
    given = {"seed": int(digest[:SEED_DIGITS], 16) + again, **given}
    if again and "seed" in (data if isinstance(data, dict) else {}):
        raise RequestError(
            "got the same line with the same seed again; expected another seed for another picture"
        )
    request = GenerationRequest(**complete(given))
    suffix = f"-{again + 1}" if again else ""
    return BatchLine(number=number, stem=f"{slug(request.prompt)}-{digest[:12]}{suffix}", request=request)

"""Files that hold the captions of many pictures, as diffusers' and kohya's folders have them.

| file | a caption is |
|---|---|
| metadata.jsonl | `{"file_name": "01.png", "text": "a cat"}` a line; `caption` and `prompt` count like `text` |
| meta.json | `{"01.png": {"caption": "a cat", "tags": "cat, red"}}`, or `{"01.png": "a cat"}` |

Names are relative to the file's folder; kohya's leave out the ending.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allaprima.core.errors import UserError
from allaprima.core.user_paths import expand

METADATA = "metadata.jsonl"
MAX_BYTES = 64 * 2**20
_SUFFIXES = (".txt", ".json", ".jsonl")
_NAMES = ("file_name", "image", "file", "image_path")
_TEXTS = ("text", "caption", "prompt", "tags")


@dataclass(frozen=True)
class Entries:
    """Captions by the pictures they are for."""

    by_picture: dict[Path, str] = field(default_factory=dict)
    """By resolved path."""

    def __or__(self, other: Entries) -> Entries:
        """Return both; the other's count where both have a caption."""
        return Entries(self.by_picture | other.by_picture)

    def find(self, picture: Path) -> str:
        """Return the caption of a picture, or nothing."""
        return self.by_picture.get(picture.resolve(), "")


def find_caption_file(said: str) -> Path | None:
    """Return the file that was named, or None for a caption; UserError for a file of another kind."""
    path = expand(Path(said))
    if path.suffix.lower() in _SUFFIXES:
        return path
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        is_file = False
    if is_file:
        raise UserError(f"got the file {path} for captions; expected one that ends in {', '.join(_SUFFIXES)}")
    return None


def read_entries(file: Path, pictures: Sequence[Path]) -> Entries:
    """Return the captions in `file` of those of the `pictures` that it names.

    Raises:
        UserError: it cannot be read, is of another form, or names a picture that is not there.
    """
    known = {path.resolve(): path.resolve() for path in pictures}
    known |= {path.with_suffix(""): path for path in known.values()}
    by_picture: dict[Path, str] = {}
    for name, text in _rows(file):
        place = (file.parent / name).resolve()
        if place in known:
            by_picture[known[place]] = text
        elif not place.is_file():
            raise UserError(
                f"{file} names {name[:80]!r}, which is not there; expected names of pictures in {file.parent}"
            )
    return Entries(by_picture)


def read_text(path: Path) -> str:
    """Return the text of a file of ordinary size; UserError for any other."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes; expected at most {MAX_BYTES:,}")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise UserError(f"cannot read {path}: {reason}; expected a text file") from error


def _rows(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each picture's name and caption."""
    text = read_text(file)
    if file.suffix.lower() == ".jsonl":
        lines = enumerate(text.splitlines(), start=1)
        for number, row in ((number, _parse(file, line, number)) for number, line in lines if line.strip()):
            name = next((row[key] for key in _NAMES if key in row), None) if isinstance(row, dict) else None
            yield _checked(file, name, row, f"line {number}")
        return
    entries = _parse(file, text)
    if not isinstance(entries, dict):
        raise UserError(
            f"{file} holds {type(entries).__name__}; expected an object with a picture's name per key"
        )
    for name, row in entries.items():
        yield _checked(file, name, row, f"{name[:80]!r}")


def _parse(file: Path, text: str, number: int | None = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = "" if number is None else f" in line {number}"
        raise UserError(
            f"{file} holds no JSON{where}; expected captions as diffusers or kohya write them"
        ) from error


def _checked(file: Path, name: Any, row: Any, where: str) -> tuple[str, str]:
    """Return name and caption as text; UserError for a row that has none."""
    said = next((row[key] for key in _TEXTS if row.get(key)), None) if isinstance(row, dict) else row
    if isinstance(said, list) and all(isinstance(tag, str) for tag in said):
        said = ", ".join(said)
    if not isinstance(name, str) or not name or "\0" in name or not isinstance(said, str):
        raise UserError(
            f'{file} says nothing of a picture at {where}; expected such as {{"file_name": "1.png", "text": "a cat"}}'
        )
    return name, " ".join(said.split())

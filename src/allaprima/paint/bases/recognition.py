"""Of which kind a weight file is, told from its tensors' names and its metadata, never from its ending.

kind = recognise(read_header(path))
kind.part, kind.family       # "transformer", "qwen-image"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allaprima.paint.bases.families import FAMILIES
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.other_kinds import find_other, is_lora
from allaprima.paint.bases.files.parts import PART_WORDS, PartFile, PartName


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """What a weight file is."""

    name: str
    """In a sentence."""
    kind: str
    """In one or two words: "transformer", "text encoder", "lora", ..."""
    part: PartName | None = None
    """The part of a base that it holds; None if no base here is made of it."""
    families: tuple[str, ...] = ()
    """The families of whose bases it is a part; several share a text encoder or an autoencoder."""
    way_out: str = ""
    """What to do with a file that is no part."""


def recognise(header: FileHeader) -> FileKind:
    """Return the kind of the file."""
    if not is_lora(header):
        found = list(_found_parts(header))
        if found:
            # A file that holds all parts is known by the first of them, the one a base is named by.
            first = min(found, key=lambda pair: FAMILIES[pair[0]].files.index(pair[1]))[1]
            families = tuple(family for family, part in found if part.part == first.part)
            return FileKind(name=first.name, kind=PART_WORDS[first.part], part=first.part, families=families)
    other = find_other(header)
    return FileKind(name=other.name, kind=other.kind, way_out=other.way_out)


def _found_parts(header: FileHeader) -> Iterator[tuple[str, PartFile]]:
    for name, family in FAMILIES.items():
        for part in family.files:
            if part.find_prefix(header) is not None:
                yield name, part

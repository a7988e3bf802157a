"""The parts that a family's bases are kept as, each in a file of its own, as ComfyUI does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from allaprima.paint.bases.files.header import FileHeader

PartName = Literal["checkpoint", "transformer", "text_encoder", "vae"]
"""A checkpoint holds all of a base's parts; the others are one each."""

PartPaths = Mapping[PartName, Path]
"""The files of the parts that are not in the file that a base is named by."""

PART_WORDS: dict[PartName, str] = {
    "checkpoint": "whole checkpoint", "transformer": "transformer", "text_encoder": "text encoder",
    "vae": "autoencoder (VAE)",
}  # fmt: skip
OPTIONS: dict[PartName, str] = {"text_encoder": "--text-encoder", "vae": "--vae"}


def any_fits(main: FileHeader, part: FileHeader) -> bool:
    """Return that a part fits a base's main file, for parts that all have one width."""
    del main, part
    return True


def any_name(name: str) -> bool:
    """Return that a file may have any name, for parts that have no twins."""
    del name
    return True


@dataclass(frozen=True, kw_only=True)
class PartFile:
    """One part of a family's bases: how its file is recognised, and where one is had."""

    part: PartName
    name: str
    """In a sentence, such as "Qwen2.5-VL 7B"."""
    find_prefix: Callable[[FileHeader], str | None]
    """Returns what stands before the part's tensors in a file, perhaps nothing; None if the part is not in it."""
    published: str = ""
    """A public file of it and its repository."""
    fits: Callable[[FileHeader, FileHeader], bool] = any_fits
    """Takes the main file and one of this part, and returns whether they can be of one base."""
    passes_for: Callable[[str], bool] = any_name
    """Takes the name of a file that nobody named, and returns whether it may be taken: twins of another training look
    alike inside."""


@dataclass(frozen=True, kw_only=True)
class NamedParts:
    """The parts that a person names, as paths or as names inside the folders of models."""

    text_encoder: str | None = None
    vae: str | None = None

    def get(self, part: PartName) -> str | None:
        """Return the name given for a part."""
        names: dict[PartName, str | None] = {"text_encoder": self.text_encoder, "vae": self.vae}
        return names.get(part)


def find_first_prefix(header: FileHeader, prefixes: tuple[str, ...], *names: str) -> str | None:
    """Return the first of `prefixes` under which tensors with all of `names` are in the file."""
    return next(
        (prefix for prefix in prefixes if all(f"{prefix}{name}" in header.tensors for name in names)), None
    )

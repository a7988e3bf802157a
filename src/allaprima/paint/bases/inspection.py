"""What `prima base inspect` says of a weight file; no weight is read.

found = inspect_file(Path("qwen_image_2512_fp8_e4m3fn.safetensors"))
found.kind, found.families, found.quantization     # "transformer", ("qwen-image",), "fp8"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.models_folders import expand_models_dirs
from allaprima.core.user_paths import expand, find_by_name, is_file
from allaprima.paint.bases.families import FAMILIES
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import PART_WORDS, NamedParts
from allaprima.paint.bases.files.quantization import find_quantization
from allaprima.paint.bases.loading import find_model
from allaprima.paint.bases.part_files import WEIGHT_SUFFIXES, find_parts
from allaprima.paint.bases.recognition import FileKind, recognise


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a file is, in words."""

    path: str
    kind: str
    """In one or two words: "transformer", "text encoder", "lora", ..."""
    name: str
    """In a sentence."""
    families: tuple[str, ...]
    """The families of bases here that it is a part of."""
    quantization: str
    """Such as "bf16", "fp8 scaled" or "GGUF Q4_K, F32"."""
    num_tensors: int
    num_bytes: int
    parts: Mapping[str, str] = field(default_factory=dict)
    """By the word for a part, the file that is joined to it; of what a base is named by alone."""
    missing: tuple[str, ...] = ()
    """What is to be put beside it before it paints."""
    refusal: str = ""
    """Why nothing here paints with it, and the way out."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self) | {"parts": dict(self.parts), "paints": not (self.missing or self.refusal)}


def inspect_file(path: Path, models_dirs: Sequence[Path] = ()) -> Inspection:
    """Return what the file at `path` is, or the one of that name in a folder of models.

    Raises:
        RequestError: there is no such file, or there are several.
        WeightsError: it is damaged, or no weight file.
    """
    folders = expand_models_dirs(models_dirs)
    header = read_header(_find(path, folders))
    kind, quantization = recognise(header), find_quantization(header)
    refusal = f"it has {quantization.refusal}" if quantization.refusal else ""
    if kind.part is None:
        refusal = f"it is {kind.name}, {kind.way_out}"
    parts, missing = _parts(header, kind, folders)
    return Inspection(
        path=str(header.path), kind=kind.kind, name=kind.name, families=kind.families,
        quantization=quantization.name, num_tensors=len(header.tensors), num_bytes=header.file_bytes, parts=parts,
        missing=missing, refusal=refusal,
    )  # fmt: skip


def _find(path: Path, folders: Sequence[Path]) -> Path:
    """Return the file at `path`, or what a base is named by, or a part of that name, in `folders`."""
    if is_file(given := expand(path)):
        return given
    model = find_model(str(path), folders)
    if model is not None and is_file(model):
        return model
    names = (find_by_name(folder, str(path), ("", *WEIGHT_SUFFIXES)) for folder in folders)
    found = list({one.resolve(): one for one in chain(*names) if is_file(one)}.values())
    if len(found) == 1:
        return found[0]
    several = " or ".join(str(one)[-200:] for one in found[:3])
    may_be = f", which may be {several}" if found else ", a folder" if model is not None else ""
    raise RequestError(
        f"got {str(path)[:200]!r}{may_be}; expected a weight file, or the name of one in --models-dir"
    )


def _parts(
    header: FileHeader, kind: FileKind, folders: Sequence[Path]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the files that are joined to a file that a base can be named by, or what is missing."""
    family = FAMILIES[kind.families[0]] if kind.families else None
    if family is None or family.files[0].part != kind.part:
        return {}, ()
    try:
        found = find_parts(family, header, NamedParts(), folders)
    except WeightsError as error:
        return {}, (str(error),)
    return {PART_WORDS[part]: str(path) for part, path in found.items()}, ()

"""The files of a base that is kept in several: what a person names, what lies in the same file, what lies beside it.

    parts = find_parts(FAMILIES["qwen-image"], header, NamedParts(), folders)
    parts["vae"]      # ~/ComfyUI/models/vae/qwen_image_vae.safetensors

A file counts by what is in it, see `recognition`; its name and folder only say where to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.user_paths import entries_below, expand, find_by_name, is_file
from allaprima.paint.bases.families import Family
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import OPTIONS, PART_WORDS, NamedParts, PartFile, PartName
from allaprima.paint.bases.files.quantization import find_quantization
from allaprima.paint.bases.recognition import recognise

WEIGHT_SUFFIXES = (".safetensors", ".sft", ".gguf")
"""Endings of weight files that are read; what is in one is told from its first bytes."""

PART_FOLDERS: dict[PartName, tuple[str, ...]] = {
    "text_encoder": ("text_encoders", "clip", "text_encoder", "LLM"),
    "vae": ("vae", "VAE"),
}
"""Where ComfyUI and A1111 keep parts, below a folder of models or below its `models`."""

BASE_FOLDERS = ("checkpoints", "diffusion_models", "unet", "Stable-diffusion")
"""Where they keep what a base is named by."""

_MOST_FILES = 500
"""How many files in a folder of parts are looked into."""


def find_parts(
    family: Family, main: FileHeader, named: NamedParts, folders: Sequence[Path]
) -> dict[PartName, Path]:
    """Return the files of the parts that are not in the file a base is named by, and of those that a person names.

    Args:
        main: the file that the base is named by.
        named: what a person names, which comes before all else.
        folders: folders of models, as `expand_models_dirs` returns them.

    Raises:
        RequestError: a part that was named is not there.
        WeightsError: it is no such part, or a part is nowhere.
    """
    found: dict[PartName, Path] = {}
    wanted = [part for part in family.files if part.part != family.files[0].part]
    _refuse_unused(named, wanted, main.path)
    places = [*_around(main.path), *folders]
    for part in wanted:
        if (name := named.get(part.part)) is not None:
            found[part.part] = _find_named(name, part, main, places)
        elif part.find_prefix(main) is None:
            found[part.part] = _find_beside(part, main, places)
    return found


def refuse_parts(named: NamedParts, spec: str) -> None:
    """Refuse parts for a base that brings all of its own."""
    for part, option in OPTIONS.items():
        if (name := named.get(part)) is not None:
            raise RequestError(
                f"got {PART_WORDS[part]} {name[:80]!r} for base {spec[:80]!r}, which brings its own; expected "
                f"{option} with a single file"
            )


def _refuse_unused(named: NamedParts, wanted: Sequence[PartFile], main: Path) -> None:
    for part, option in OPTIONS.items():
        if (name := named.get(part)) is not None and part not in {one.part for one in wanted}:
            raise RequestError(
                f"got {option} {name[:80]!r} for {main.name}, whose family has no such part in a file of its own; "
                "expected none"
            )


def _find_named(name: str, part: PartFile, main: FileHeader, folders: Sequence[Path]) -> Path:
    path = expand(Path(name))
    if not is_file(path):
        places = _part_folders(part.part, folders)
        suffixes = ("", *WEIGHT_SUFFIXES)
        found = (one for place in places for one in find_by_name(place, name, suffixes) if is_file(one))
        path = next(found, path)
    if not is_file(path):
        raise RequestError(
            f"got {OPTIONS[part.part]} {name[:80]!r}; expected a file, or the name of one in {_listed(part.part)} of "
            "--models-dir"
        )
    header = read_header(path)
    if part.find_prefix(header) is None:
        raise WeightsError(
            f"{path} is {recognise(header).name}; expected {part.name}, such as {part.published}"
        )
    if refusal := find_quantization(header).refusal:
        raise WeightsError(f"{path} has {refusal}")
    if not part.fits(main, header):
        raise WeightsError(f"{path} is of another size than {main.path.name} needs; expected {part.name}")
    return path


def _find_beside(part: PartFile, main: FileHeader, folders: Sequence[Path]) -> Path:
    """Return the file of a part that lies where ComfyUI keeps it; of several, a small one stored as that is."""
    fitting: list[FileHeader] = []
    refused = ""
    for path in _candidates(part.part, folders, main.path.parent):
        try:
            header = read_header(path)
            if part.find_prefix(header) is None or not part.fits(main, header):
                continue
            if refusal := find_quantization(header).refusal:
                refused = f"; {path.name} has {refusal}"
                continue
        except WeightsError:  # a damaged file is its own business until somebody names it
            continue
        if part.passes_for(path.name):
            fitting.append(header)
    if fitting:
        return min(fitting, key=lambda header: (header.container != main.container, header.file_bytes)).path
    raise WeightsError(
        f"{main.path} comes without {part.name}, its {PART_WORDS[part.part]}, and none lies in {_listed(part.part)} "
        f"of --models-dir{refused}; expected such a file there, as {part.published}, or named with "
        f"{OPTIONS[part.part]}"
    )


def _candidates(part: PartName, folders: Sequence[Path], beside: Path) -> Iterator[Path]:
    """Yield the weight files in the folders of a part, then those beside the main file."""
    seen: set[Path] = set()
    inside = (path for place in _part_folders(part, folders) for path in entries_below(place))
    for path in chain(inside, entries_below(beside, levels=1)):
        if path not in seen and len(seen) < _MOST_FILES and path.name.lower().endswith(WEIGHT_SUFFIXES):
            seen.add(path)
            yield path


def _part_folders(part: PartName, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders that may keep a part; those of the list that are called like one, too."""
    for folder in folders:
        for below in PART_FOLDERS[part]:
            yield from (one for one in (folder / below, folder / "models" / below) if one.is_dir())
        if folder.name in PART_FOLDERS[part]:
            yield folder


def _around(path: Path) -> Iterator[Path]:
    """Yield the folders of models that a file lies in: `models` of `models/diffusion_models/qwen/x.gguf`."""
    yield from (folder.parent for folder in path.absolute().parents if folder.name in BASE_FOLDERS)


def _listed(part: PartName) -> str:
    return " or ".join(f"{name}/" for name in PART_FOLDERS[part][:2])

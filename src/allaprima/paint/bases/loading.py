"""From what a request calls a base to the loaded base.

    base = load_base("Qwen/Qwen-Image-2512", device=torch.device("cuda"))

A base is "vignette", a folder in diffusers' layout, a `.safetensors` or `.gguf` file, a name inside a folder of
models of another program (read in place, nothing is copied; case, Unicode form and subfolders do not count), or the
id of a model in the hub's cache, as owner/name or owner/name@revision. What a file is, its tensors' names say; a file
of one part alone is joined with the others (`part_files`). Finding a base reads headers and a few lines of JSON and
imports no torch; nothing is ever downloaded here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.base_names import shown_name
from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.models_folders import expand_models_dirs
from allaprima.core.user_paths import expand, find_by_name, is_file, is_folder
from allaprima.paint.bases.families import FAMILIES
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import OPTIONS, PART_WORDS, NamedParts, PartName
from allaprima.paint.bases.files.quantization import find_quantization
from allaprima.paint.bases.folder import INDEX, PICKLES, read_pipeline
from allaprima.paint.bases.hub import find_cached, is_hub_id
from allaprima.paint.bases.part_files import WEIGHT_SUFFIXES, find_parts, refuse_parts
from allaprima.paint.bases.recognition import recognise
from allaprima.paint.bases.rounded import check_rounding, load_rounded
from allaprima.paint.contract.traits import BaseTraits

if TYPE_CHECKING:
    import torch

    from allaprima.paint.contract.base import Base, Stage

MODEL_FOLDERS = (
    "", "checkpoints", "diffusion_models", "diffusers", "unet", "Stable-diffusion", "models/checkpoints",
    "models/diffusion_models", "models/diffusers", "models/unet", "models/Stable-diffusion",
)  # fmt: skip
"""Where ComfyUI and A1111 keep whole models, below the folder that a user names."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """A base whose files were found, and nothing more."""

    name: str
    """The name that it was asked for by."""
    traits: BaseTraits
    path: Path | None
    """Its folder or file; None for a base that ships."""
    parts: Mapping[PartName, Path] = field(default_factory=dict)
    """The files of its parts that are not in the one at `path`; none for a folder."""

    @property
    def family(self) -> str:
        """The architecture."""
        return self.traits.family

    def weight_files(self) -> list[Path]:
        """Return the files that its weights are read from; none for a base that ships."""
        if self.path is None:
            return []
        if self.path.is_dir():
            return sorted(self.path.glob("*/*.safetensors"))
        return [self.path, *self.parts.values()]

    def joined(self) -> str:
        """Return which files are joined to one base, as a sentence; nothing where it is in one."""
        if self.path is None or not self.parts:
            return ""
        others = " and ".join(f"{path.name} as {PART_WORDS[part]}" for part, path in self.parts.items())
        return f"{self.path.name} is painted with {others}"

    def weights_folder(self, replacement: Path | None = None) -> Path | None:
        """Return the folder of weights that ship, or its `replacement`; None for a base that does not ship."""
        shipped = self.traits.shipped_weights
        return None if shipped is None else replacement or shipped


NO_PARTS = NamedParts()


def locate(spec: str, models_dirs: Sequence[Path] = (), named: NamedParts = NO_PARTS) -> Located:
    """Find the base called `spec`, without reading its weights.

    Args:
        spec: see the module docstring.
        models_dirs: folders of models, or lists of them, searched in order after the path itself.
        named: files of the base's parts, for one that is kept in several.

    Raises:
        RequestError: there is nothing of that name, or a folder of models is not there.
        WeightsError: what is there is no model that can be painted with, or lacks a part.
    """
    folders = expand_models_dirs(models_dirs)
    if spec in FAMILIES and FAMILIES[spec].traits.shipped_weights is not None:
        refuse_parts(named, spec)
        return Located(name=spec, traits=FAMILIES[spec].traits, path=None)
    path = find_model(spec, folders)
    if path is not None and path.is_dir():
        refuse_parts(named, spec)
        return Located(name=spec, traits=_traits_of_folder(path), path=path)
    if path is not None:
        header = _read_main_header(path)
        family = FAMILIES[recognise(header).families[0]]
        parts = find_parts(family, header, named, folders)
        return Located(name=spec, traits=family.traits, path=path, parts=parts)
    fetch = f", which `prima pull {spec}` fetches" if is_hub_id(spec) else ""
    raise RequestError(
        f"got base {spec[:80]!r}; expected vignette, a model folder, a weight file, a name inside --models-dir "
        f"or the id of a model in the hub's cache{fetch}"
    )


def brings_its_parts(spec: str, models_dirs: Sequence[Path] = ()) -> bool:
    """Return whether the base called `spec` ships or is a folder, so that no files of parts can be named for it."""
    path = None if spec in FAMILIES else find_model(spec, expand_models_dirs(models_dirs))
    return path is None or path.is_dir()


def load_base(
    spec: str,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    models_dirs: Sequence[Path] = (),
    named: NamedParts = NO_PARTS,
    weights: Path | None = None,
    quantize: str | None = None,
    absent: Collection[Stage] = (),
) -> Base:
    """Load the base called `spec` onto `device`.

    Args:
        spec: see the module docstring; the base is called by what `shown_name` makes of it.
        device: where it is to paint.
        dtype: what it computes in; None for what the device is quick at.
        models_dirs: see `locate`.
        named: see `locate`.
        weights: a folder of Vignette's weights, for "vignette" alone; None for those that ship.
        quantize: what to round the weights of text encoder and denoiser to, see `rounded`; None for nothing.
        absent: stages whose networks are made on the meta device, without reading their weights.

    Raises:
        RequestError: there is no base of that name, or none whose weights can be rounded.
        WeightsError: a part is missing, damaged, a pickle, or of another kind.
    """
    located = locate(spec, models_dirs, named)
    check_quantize(located, quantize)
    if weights is not None and located.path is not None:
        raise RequestError(
            f"got a folder of Vignette's weights for base {spec[:80]!r}; expected it for vignette alone"
        )
    family = FAMILIES[located.family]
    options = {"parts": located.parts} if family.files else {}
    load = partial(family.load, located.path or weights, name=shown_name(spec), absent=absent, **options)
    if quantize is None:
        return load(device=device, dtype=dtype)
    return load_rounded(load, quantize, device=device, dtype=dtype)


def check_quantize(located: Located, quantize: str | None) -> None:
    """Refuse to round the weights of a base that is not worth it, or is quantised already."""
    if quantize is not None:
        check_rounding(quantize, located.name, located.path)


def find_model(spec: str, folders: Sequence[Path]) -> Path | None:
    """Return the folder or file that `spec` means, in `folders` as `expand_models_dirs` returns them.

    Raises:
        RequestError: it may be several.
    """
    path = next(filter(_is_model, _places(spec, folders)), None)
    return path or _find_cached(spec, folders) or _find_alike(spec, folders)


def _places(spec: str, models_dirs: Sequence[Path]) -> Iterator[Path]:
    """Yield where `spec` may lie; a name inside a folder of models may not leave it, and may omit its ending."""
    yield expand(Path(spec))
    if _is_name(spec):
        for folder in models_dirs:
            for below in MODEL_FOLDERS:
                yield folder / below / spec
                yield from (folder / below / f"{spec}{suffix}" for suffix in WEIGHT_SUFFIXES)


def _find_cached(spec: str, models_dirs: Sequence[Path]) -> Path | None:
    """Return the model with the hub id `spec` in the hub's cache, or in a folder of models that is one."""
    return next(filter(None, (find_cached(spec, cache) for cache in (None, *models_dirs))), None)


def _find_alike(spec: str, models_dirs: Sequence[Path]) -> Path | None:
    """Return the model whose name differs from `spec` in case, Unicode form, ending or the folders in front alone.

    Raises:
        RequestError: there are several.
    """
    for suffixes in (("", *WEIGHT_SUFFIXES), PICKLES):  # a pickle is found to be told of
        for alike in _alike(spec, models_dirs, suffixes):
            found = list({path.resolve(): path for path in alike if _is_model(path)}.values())
            if len(found) > 1:
                several = " or ".join(str(path)[-200:] for path in found[:3])
                raise RequestError(
                    f"got base {spec[:80]!r}, which may be {several}; expected one of these paths"
                )
            if found:
                return found[0]
    return None


def _alike(spec: str, models_dirs: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[Iterator[Path]]:
    """Yield what lies where a path leads, then what lies in each folder of models, and is called much like `spec`."""
    path = expand(Path(spec))
    if path.name and path.name != "..":
        yield find_by_name(path.parent, path.name, suffixes, levels=1)
    name = spec.replace("\\", "/")  # as programs on Windows list it
    if _is_name(name):
        for folder in models_dirs:
            kept = [folder / below for below in MODEL_FOLDERS if below and is_folder(folder / below)]
            if kept:
                yield find_by_name(folder, name, suffixes, levels=1)
            for one in kept or [folder]:
                yield find_by_name(one, name, suffixes)


def _is_name(spec: str) -> bool:
    """Return whether `spec` may be a name inside a folder: a path that goes down alone."""
    return spec.strip() not in ("", ".") and not Path(spec).is_absolute() and ".." not in Path(spec).parts


def _is_model(path: Path) -> bool:
    return is_file(path) or is_file(path / INDEX)


def _traits_of_folder(path: Path) -> BaseTraits:
    pipeline = read_pipeline(path)
    known = {name: family.traits for family in FAMILIES.values() for name in family.pipelines}
    if pipeline not in known:
        usual = (family.pipelines[0] for family in FAMILIES.values() if family.pipelines)
        raise WeightsError(f"{path} is a {pipeline[:60]}; expected {' or '.join(usual)}")
    return known[pipeline]


def _read_main_header(path: Path) -> FileHeader:
    """Return the header of a file that a base can be named by."""
    header = read_header(path)
    kind = recognise(header)
    if kind.part is None:
        raise WeightsError(f"{path} is {kind.name}, {kind.way_out}")
    if kind.part in OPTIONS:
        raise WeightsError(
            f"{path} is {kind.name}, a part of a base; expected the file of the transformer or of the whole "
            f"checkpoint, and this one as {OPTIONS[kind.part]}"
        )
    if refusal := find_quantization(header).refusal:
        raise WeightsError(f"{path} has {refusal}")
    return header

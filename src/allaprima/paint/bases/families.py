"""The families of bases: the one table that a new family is added to.

    family = FAMILIES["sdxl"]
    base = family.load(path, name="sdxl", device=device, dtype=None, absent=())

A family's libraries are heavy, so each loader imports its own only when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allaprima.paint.bases.files.parts import PartFile, PartPaths
from allaprima.paint.bases.flux2_klein.files import PARTS as FLUX2_KLEIN_PARTS
from allaprima.paint.bases.flux2_klein.traits import PIPELINES as FLUX2_KLEIN_PIPELINES
from allaprima.paint.bases.flux2_klein.traits import TRAITS as FLUX2_KLEIN
from allaprima.paint.bases.qwen_image.files import PARTS as QWEN_IMAGE_PARTS
from allaprima.paint.bases.qwen_image.traits import PIPELINES as QWEN_IMAGE_PIPELINES
from allaprima.paint.bases.qwen_image.traits import TRAITS as QWEN_IMAGE
from allaprima.paint.bases.sdxl.files import PARTS as SDXL_PARTS
from allaprima.paint.bases.sdxl.traits import PIPELINES as SDXL_PIPELINES
from allaprima.paint.bases.sdxl.traits import TRAITS as SDXL
from allaprima.paint.bases.vignette.traits import TRAITS as VIGNETTE
from allaprima.paint.bases.z_image.files import PARTS as Z_IMAGE_PARTS
from allaprima.paint.bases.z_image.traits import PIPELINES as Z_IMAGE_PIPELINES
from allaprima.paint.bases.z_image.traits import TRAITS as Z_IMAGE
from allaprima.paint.contract.traits import BaseTraits

if TYPE_CHECKING:
    from allaprima.paint.contract.base import Base


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family: its traits, how its files are recognised, and how they are loaded."""

    traits: BaseTraits
    load: Callable[..., Base]
    """Takes a path, or None for weights that ship, and `name`, `device`, `dtype`, `absent` as `load_base` does;
    where it has `files`, also `parts`, the paths of those that are not in the file at that path."""
    pipelines: tuple[str, ...] = ()
    """The classes that a folder's model_index.json may name, the usual one first; () if there are no such folders."""
    files: tuple[PartFile, ...] = ()
    """The parts that it is kept as in files, first the one a base is named by; () if there are no such files."""


def _all_parts(files: tuple[PartFile, ...], path: Path, parts: PartPaths) -> PartPaths:
    """Return the file of every part: those that are joined, and the one at `path` for the rest."""
    return {file.part: parts.get(file.part, path) for file in files}


def _load_vignette(folder: Path | None, *, name: str, **options: Any) -> Base:
    from allaprima.paint.bases.vignette.base import load_vignette

    del name
    return load_vignette(folder, **options)


def _load_qwen_image(path: Path, *, parts: PartPaths, **options: Any) -> Base:
    if path.is_file():
        from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image

        return load_split_qwen_image(_all_parts(QWEN_IMAGE_PARTS, path, parts), **options)
    from allaprima.paint.bases.qwen_image.weights import load_qwen_image

    return load_qwen_image(path, **options)


def _load_sdxl(path: Path, *, parts: PartPaths, **options: Any) -> Base:
    from allaprima.paint.bases.sdxl.base import load_sdxl

    return load_sdxl(path, vae=parts.get("vae"), **options)


def _load_flux2_klein(path: Path, *, parts: PartPaths, **options: Any) -> Base:
    if path.is_file():
        from allaprima.paint.bases.flux2_klein.split_files import load_split_flux2_klein

        return load_split_flux2_klein(_all_parts(FLUX2_KLEIN_PARTS, path, parts), **options)
    from allaprima.paint.bases.flux2_klein.weights import load_flux2_klein

    return load_flux2_klein(path, **options)


def _load_z_image(path: Path, *, parts: PartPaths, **options: Any) -> Base:
    if path.is_file():
        from allaprima.paint.bases.z_image.split_files import load_split_z_image

        return load_split_z_image(_all_parts(Z_IMAGE_PARTS, path, parts), **options)
    from allaprima.paint.bases.z_image.weights import load_z_image

    return load_z_image(path, **options)


FAMILIES: dict[str, Family] = {
    family.traits.family: family
    for family in (
        Family(traits=VIGNETTE, load=_load_vignette),
        Family(
            traits=QWEN_IMAGE, load=_load_qwen_image, pipelines=QWEN_IMAGE_PIPELINES, files=QWEN_IMAGE_PARTS
        ),
        Family(traits=SDXL, load=_load_sdxl, pipelines=SDXL_PIPELINES, files=SDXL_PARTS),
        Family(
            traits=FLUX2_KLEIN,
            load=_load_flux2_klein,
            pipelines=FLUX2_KLEIN_PIPELINES,
            files=FLUX2_KLEIN_PARTS,
        ),
        Family(traits=Z_IMAGE, load=_load_z_image, pipelines=Z_IMAGE_PIPELINES, files=Z_IMAGE_PARTS),
    )
}
"""By the name that `BaseTraits.family` gives."""

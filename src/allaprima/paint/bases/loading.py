"""From what a request calls a base to the loaded base.

    base = load_base("Qwen/Qwen-Image-2512", device=torch.device("cuda"))

A base is "vignette", a folder in diffusers' layout, a `.safetensors` file, a name inside a folder of models of
another program (read in place, nothing is copied), or the id of a model in the hub's cache. Finding it reads
a few lines of JSON and imports no torch; nothing is ever downloaded here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.folder import INDEX, PICKLES, read_pipeline
from allaprima.paint.bases.hub import find_cached, is_hub_id

if TYPE_CHECKING:
    import torch

    from allaprima.paint.contract.base import Base, Stage

Family = Literal["vignette", "qwen-image", "sdxl"]

PIPELINES: dict[str, Family] = {"QwenImagePipeline": "qwen-image", "StableDiffusionXLPipeline": "sdxl"}
"""What a folder's model_index.json may name, and whose it is."""

MODEL_FOLDERS = (
    "", "checkpoints", "diffusion_models", "diffusers", "unet", "Stable-diffusion", "models/checkpoints",
    "models/diffusion_models", "models/diffusers", "models/unet", "models/Stable-diffusion",
)  # fmt: skip
"""Where ComfyUI and A1111 keep whole models, below the folder a user names."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """A base that has been found."""

    name: str
    """What it was asked for as."""
    family: Family
    path: Path | None
    """Its folder or file; None for the Vignette that ships."""


def locate(spec: str, models_dirs: Sequence[Path] = ()) -> Located:
    """Find the base called `spec`.

    Args:
        spec: see the module docstring.
        models_dirs: folders of models, searched in order after the path itself.

    Raises:
        RequestError: there is nothing of that name, or a folder of models is not there.
        WeightsError: what is there is no model that can be painted with.
    """
    for folder in models_dirs:
        if not folder.is_dir():
            raise RequestError(f"got {folder} as a folder of models; expected a folder that exists")
    if spec == "vignette":
        return Located(name=spec, family="vignette", path=None)
    for path in _places(spec, models_dirs):
        if _is_model(path):
            return Located(name=spec, family=_family(path), path=path)
    if is_hub_id(spec) and (cached := find_cached(spec)) is not None:
        return Located(name=spec, family=_family(cached), path=cached)
    fetch = f", which `prima pull {spec}` fetches" if is_hub_id(spec) else ""
    raise RequestError(
        f"got base {spec[:80]!r}; expected vignette, a model folder, a .safetensors file, a name inside --models-dir "
        f"or the id of a model in the hub's cache{fetch}"
    )


def load_base(
    spec: str,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    models_dirs: Sequence[Path] = (),
    weights: Path | None = None,
    absent: Collection[Stage] = (),
) -> Base:
    """Load the base called `spec` onto `device`.

    Args:
        spec: see the module docstring; the base is named so.
        device: where it is to paint.
        dtype: what it computes in; None for what the device is quick at.
        models_dirs: see `locate`.
        weights: a folder of Vignette's weights, for "vignette" alone; None for those that ship.
        absent: stages whose networks are made without weights, on the meta device; no weight of theirs is read.

    Raises:
        RequestError: there is no base of that name.
        WeightsError: a part is missing, damaged, a pickle, or of another kind.
    """
    found = locate(spec, models_dirs)
    # Here, not above: a family's libraries are heavy, and only the one asked for is to be imported.
    if found.path is None:
        from allaprima.paint.bases.vignette.base import load_vignette

        return load_vignette(weights, device, dtype, absent=absent)
    if weights is not None:
        raise RequestError(
            f"got a folder of Vignette's weights for base {spec[:80]!r}; expected it for vignette alone"
        )
    if found.family == "qwen-image":
        from allaprima.paint.bases.qwen_image.weights import load_qwen_image

        return load_qwen_image(found.path, name=spec, device=device, dtype=dtype, absent=absent)
    from allaprima.paint.bases.sdxl.base import load_sdxl

    return load_sdxl(found.path, name=spec, device=device, dtype=dtype, absent=absent)


def _places(spec: str, models_dirs: Sequence[Path]) -> Iterator[Path]:
    """Where `spec` may lie; names inside folders of models neither climb out of them nor need their ending."""
    yield Path(spec).expanduser() if spec.startswith("~/") else Path(spec)
    name = Path(spec)
    if name.is_absolute() or ".." in name.parts:
        return
    for folder in models_dirs:
        for below in MODEL_FOLDERS:
            yield folder / below / spec
            yield folder / below / f"{spec}.safetensors"


def _is_model(path: Path) -> bool:
    try:
        return path.is_file() or (path / INDEX).is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def _family(path: Path) -> Family:
    if path.is_dir():
        pipeline = read_pipeline(path)
        if pipeline not in PIPELINES:
            raise WeightsError(f"{path} is a {pipeline[:60]}; expected {' or '.join(PIPELINES)}")
        return PIPELINES[pipeline]
    if path.suffix in PICKLES:
        raise WeightsError(
            f"{path} is a pickle, which may run any code when read; expected .safetensors, "
            "fetch that form of the model"
        )
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path} ends in {path.suffix or 'nothing'}; expected .safetensors or a model folder"
        )
    return "sdxl"

"""Where upscalers lie: the one that ships, and those in folders of models of other programs. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from allaprima.core.errors import RequestError
from allaprima.core.models_folders import listed_folders
from allaprima.core.retouch import SHIPPED_UPSCALER

SUFFIX = ".safetensors"
PICKLE_SUFFIXES = (".pt", ".pth")
UPSCALER_FOLDERS = tuple(
    f"{above}{name}"
    for above in ("", "models/")
    for name in ("upscale_models", "ESRGAN", "RealESRGAN", "SwinIR", "DAT")
)
"""Where ComfyUI and A1111 keep upscalers, below the folder of models that a user names."""
_SHIPPED = Path(__file__).parents[2] / "weights" / "retouch" / "upscaler.safetensors"


def locate_upscaler(name: str, models_dirs: Sequence[Path] = ()) -> Path:
    """Return the weight file of the upscaler called `name`, without reading it.

    Args:
        name: vignette, a file, or the name of a file in a folder of upscalers, with or without its ending.
        models_dirs: folders of models of ComfyUI or A1111.

    Raises:
        RequestError: there is none of that name.
    """
    if name == SHIPPED_UPSCALER:
        return _SHIPPED
    if (path := Path(name)).is_file():
        return path
    found = find_upscalers(models_dirs)
    if (known := found.get(name) or found.get(path.stem)) is not None:
        return known
    expected = ", ".join([SHIPPED_UPSCALER, *sorted(found)][:20])
    raise RequestError(
        f"got the upscaler {name[:80]!r}; expected {expected}, a .safetensors file, or a name inside --models-dir"
    )


def find_upscalers(models_dirs: Sequence[Path]) -> dict[str, Path]:
    """Return the weight files of upscalers in folders of models, by name; of equal names the first folder's.

    A pickle is among them where there is nothing better, to be refused with a reason when it is loaded.
    """
    listed = listed_folders(models_dirs)
    folders = [above / below for above in listed for below in UPSCALER_FOLDERS]
    folders += [folder for folder in listed if folder.name in UPSCALER_FOLDERS]
    found: dict[str, Path] = {}
    for ending in (SUFFIX, *PICKLE_SUFFIXES):
        for folder in filter(Path.is_dir, folders):
            for file in sorted(folder.glob(f"*{ending}")):
                found.setdefault(file.stem, file)
    return found

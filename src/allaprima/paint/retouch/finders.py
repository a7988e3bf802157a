"""Which finder of subjects is meant: the one that ships, or weights of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.models_folders import listed_folders
from allaprima.core.retouch import SHIPPED_FINDER, CutOut
from allaprima.paint.retouch.matte import MatteFinder, ShippedMatte
from allaprima.paint.retouch.network_files import MATTE_PATH, load_matte_network
from allaprima.paint.retouch.onnx_matte import OnnxMatte
from allaprima.paint.retouch.sam_matte import SamMatte, is_sam, load_sam
from allaprima.paint.retouch.work import Workshop

SUFFIX: Final = ".onnx"
FOLDERS: Final = tuple(
    f"{above}{name}" for above in ("", "models/") for name in ("rembg", "matting", "BiRefNet", "sams")
)
"""Where programs keep such weights, below the folder of models that a user names."""


def get_finder(operation: CutOut, workshop: Workshop) -> MatteFinder:
    """Return what finds the subject as `operation` asks, loaded if it is not.

    Raises:
        RequestError: there are no weights of that name, or they take no points.
        WeightsError: they cannot be used.
    """
    if operation.finder == SHIPPED_FINDER:
        _refuse_points(operation)
        network = workshop.keep(
            "matte", lambda: load_matte_network(MATTE_PATH, workshop.device, workshop.dtype)
        )
        return ShippedMatte(network=network)
    path = locate_finder(operation.finder, workshop.models_dirs)
    if is_sam(path):
        model = workshop.keep(("sam", path), lambda: load_sam(path, workshop.device))
        return SamMatte(model=model, points=operation.points, box=operation.box)
    if path.suffix.lower() != SUFFIX:
        raise WeightsError(
            f"{path} finds no subjects; expected an {SUFFIX} file such as u2net{SUFFIX}, or the folder of a SAM"
        )
    _refuse_points(operation)
    finder: MatteFinder = workshop.keep(("onnx", path), lambda: OnnxMatte.load(path))
    return finder


def locate_finder(name: str, models_dirs: Sequence[Path] = ()) -> Path:
    """Return where the weights called `name` lie: a path, or a name in one of `FOLDERS` below a folder of models.

    Raises:
        RequestError: there are none of that name.
    """
    if (path := Path(name)).exists():
        return path
    folders = [above / below for above in listed_folders(models_dirs) for below in FOLDERS]
    found = {one.stem: one for folder in reversed(folders) if folder.is_dir() for one in _finders_in(folder)}
    if (known := found.get(name) or found.get(path.stem)) is not None:
        return known
    expected = ", ".join([SHIPPED_FINDER, *sorted(found)][:20])
    raise RequestError(
        f"got the finder {name[:80]!r}; expected {expected}, weights, or a name inside --models-dir"
    )


def _finders_in(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.suffix.lower() == SUFFIX or is_sam(one))


def _refuse_points(operation: CutOut) -> None:
    if operation.points or operation.box:
        raise RequestError(
            f"got points or a box for {operation.finder[:80]!r}; expected them with a SAM, others take none"
        )

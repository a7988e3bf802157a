"""Arrays on disk, refused in a sentence where they are missing or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError


def open_array(path: Path, dimensions: int, *, mode: Literal["r", "c"] = "r") -> NDArray[Any]:
    """Map a .npy file into memory: to be read, or with mode "c" to be changed without reaching the disk.

    Raises:
        AssetError: it is missing, cut off or no array of so many dimensions.
    """
    expected = f"expected an array of {dimensions} dimensions in a whole .npy file; build its folder anew"
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode=mode)
    except (OSError, ValueError, EOFError) as error:
        raise AssetError(f"cannot read {path}: {error}; {expected}") from error
    if array.ndim != dimensions:
        raise AssetError(f"{path} has the shape {array.shape}; {expected}")
    return array

"""SHA-256 of what a run gives: tensors, arrays and pixels, whatever order or format a file keeps them in."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

Hashed = Iterator[tuple[str, str]]
"""What was hashed, by its name, and the hash."""


def hash_bytes(*parts: bytes) -> str:
    """Return the hash of all parts together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return type, shape and numbers of a tensor as bytes."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + numbers


def hash_tensors(path: Path, *, named: bool = True) -> str:
    """Return the hash of all tensors of a safetensors file, in whatever order they lie there.

    Args:
        path: the file.
        named: hash the tensors' names too.
    """
    with safe_open(path, framework="pt") as file:
        digests = {name: hash_bytes(tensor_bytes(file.get_tensor(name))) for name in file.keys()}  # noqa: SIM118
    lines = [f"{name} {digest}" for name, digest in digests.items()] if named else list(digests.values())
    return hash_bytes("\n".join(sorted(lines)).encode())


def hash_metadata(path: Path, base: Path | None = None) -> str:
    """Return the hash of a safetensors file's metadata.

    Args:
        path: the file.
        base: a file whose own hash is left out where the metadata names it. A base that the proof writes has its
            header in another order each time.
    """
    with safe_open(path, framework="pt") as file:
        metadata = json.dumps(file.metadata(), sort_keys=True)
    if base is not None:
        metadata = metadata.replace(hash_bytes(base.read_bytes()), "")
    return hash_bytes(metadata.encode())


def hash_arrays(folder: Path) -> str:
    """Return the hash of a folder's NumPy arrays, whatever their files are called."""
    arrays = [np.load(path) for path in folder.glob("*.npy")]
    assert arrays, folder
    digests = [hash_bytes(f"{array.dtype} {array.shape} ".encode(), array.tobytes()) for array in arrays]
    return hash_bytes("\n".join(sorted(digests)).encode())


def hash_image(file: Path | bytes) -> str:
    """Return the hash of the size and the pixels of a picture file."""
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        return hash_bytes(f"{image.size}".encode(), image.convert("RGB").tobytes())

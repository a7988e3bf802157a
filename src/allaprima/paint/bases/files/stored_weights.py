"""The weights of a file as they are stored: mapped, neither read nor dequantised before they are needed.

    weights = read_weights(read_header(path))
    weights["img_in.weight"].dequantize(torch.bfloat16)

A scale that is there is applied, or the file refused: without its scales a file paints a white picture, and no error.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import FileHeader, StoredTensor
from allaprima.paint.bases.files.quantization import (
    SCALES,
    Quantization,
    find_quantization,
    is_about_weights,
)
from allaprima.paint.quantization.stored import StoredWeight

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_MAP_NORESERVE = 0x4000
"""Linux's flag, which Python's mmap has no name for before 3.13."""
_EIGHT_BITS = {"F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8"}


def read_weights(
    header: FileHeader,
    prefix: str = "",
    *,
    meta: bool = False,
) -> dict[str, StoredWeight]:
    """Return the weights whose names begin with `prefix`, under the rest of their names.

    Args:
        prefix: what stands before the names of one part's tensors; the others are left out.
        meta: make tensors without numbers, for checks of names and shapes.

    Raises:
        WeightsError: the weights are quantised in a way that is not read, a scale is no number, fits no weight or
            is told of and not there.
    """
    quantization = find_quantization(header)
    if quantization.refusal:
        raise WeightsError(f"{header.path} has {quantization.refusal}")
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in header.tensors.items()
        if name.startswith(prefix)
    }
    read = partial(_without_numbers, header) if meta else _mapped(header)
    scales = _scales(header, tensors, read)
    weights = {}
    for name, tensor in tensors.items():
        if is_about_weights(name):
            continue
        if header.container == "gguf":
            weights[name] = _from_gguf(tensor, read)
        else:
            _check_told(header, quantization, prefix, name, tensor, scales)
            weights[name] = _from_safetensors(tensor, read, scales.get(name))
    return weights


Reader = Callable[[StoredTensor, torch.dtype, tuple[int, ...]], Tensor]
"""(place, number format, shape) -> the tensor."""


def _mapped(header: FileHeader) -> Reader:
    """Return a reader of tensors that stay where the file is mapped."""
    whole = torch.frombuffer(_map(header.path), dtype=torch.uint8) if header.file_bytes else None

    def read(tensor: StoredTensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        if whole is None or not tensor.num_bytes:
            return torch.empty(shape, dtype=dtype)
        begin = header.data_begin + tensor.begin
        part = whole[begin : begin + tensor.num_bytes]
        # Numbers that lie off their own size cannot be mapped.
        return (part.clone() if begin % dtype.itemsize else part).view(dtype).view(shape)

    return read


def _map(path: Path) -> mmap.mmap:
    """Map a file privately: LoRAs are merged into weights in place, and the file is never written to.

    No memory is reserved for what might be written, or a file larger than the memory could not be mapped.
    """
    with path.open("rb") as file:
        if sys.platform == "win32":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        flags = mmap.MAP_PRIVATE | (_MAP_NORESERVE if sys.platform == "linux" else 0)
        return mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def _without_numbers(
    header: FileHeader, tensor: StoredTensor, dtype: torch.dtype, shape: tuple[int, ...]
) -> Tensor:
    del header, tensor
    return torch.empty(shape, dtype=dtype, device="meta")


def _scales(header: FileHeader, tensors: dict[str, StoredTensor], read: Reader) -> dict[str, Tensor]:
    """Return the scales by the name of their weight."""
    scales: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.endswith(SCALES):
            continue
        weight = name[: name.rindex(".")] + ".weight"
        rows = next(iter(tensors[weight].shape), 1) if weight in tensors else 0
        if weight in scales or not rows or tensor.num_numbers not in (1, rows):
            raise WeightsError(
                f"{header.path}: the scale {name[:100]!r} of shape {tensor.shape} goes with no weight; expected one "
                "scale for a weight, or one for each of its rows: fetch another form of the model"
            )
        if tensor.dtype not in ("F64", "F32", "F16", "BF16"):
            raise WeightsError(
                f"{header.path}: the scale {name[:100]!r} is in {tensor.dtype}; expected floats"
            )
        scale = read(tensor, _DTYPES[tensor.dtype], tensor.shape).float()
        if not scale.is_meta and not bool((scale.isfinite() & (scale > 0)).all()):
            raise WeightsError(
                f"{header.path}: the scale {name[:100]!r} holds numbers that are not above 0; expected a whole file, "
                "fetch it again"
            )
        scales[weight] = scale
    return scales


def _check_told(
    header: FileHeader,
    quantization: Quantization,
    prefix: str,
    name: str,
    tensor: StoredTensor,
    scales: dict[str, Tensor],
) -> None:
    """Refuse a weight in eight bits whose scale is told of, or needed, and not there."""
    layer = name.removesuffix(".weight")
    told = layer in quantization.told or f"{prefix}{layer}" in quantization.told
    if (tensor.dtype == "I8" or told) and tensor.dtype in _EIGHT_BITS and name not in scales:
        raise WeightsError(
            f"{header.path}: {name[:100]!r} is in {_EIGHT_BITS[tensor.dtype]} and its scale is not there; expected "
            "both: fetch the file again"
        )


def _from_safetensors(tensor: StoredTensor, read: Reader, scale: Tensor | None) -> StoredWeight:
    if tensor.dtype not in _DTYPES:
        raise WeightsError(f"got a tensor in {tensor.dtype}; expected one of {', '.join(_DTYPES)}")
    data = read(tensor, _DTYPES[tensor.dtype], tensor.shape)
    form = _EIGHT_BITS.get(tensor.dtype, "plain")
    if scale is not None and form == "plain":  # some mixed files scale weights that they did not quantise
        data, scale = data.float() * scale.reshape(-1, *[1] * (data.ndim - 1)), None
    return StoredWeight(data=data, format=form, shape=tensor.shape, scale=scale)


def _from_gguf(tensor: StoredTensor, read: Reader) -> StoredWeight:
    if tensor.dtype in ("F32", "F16", "BF16"):
        data = read(tensor, _DTYPES[tensor.dtype], tensor.shape)
        return StoredWeight(data=data, format="plain", shape=tensor.shape)
    blocks = read(tensor, torch.uint8, (tensor.num_bytes,))
    return StoredWeight(data=blocks, format=f"gguf-{tensor.dtype}", shape=tensor.shape)

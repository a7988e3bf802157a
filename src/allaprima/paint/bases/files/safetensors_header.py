"""The header of a safetensors file: https://github.com/huggingface/safetensors#format .

It is parsed here, and not by safetensors, so that its size and its duplicate names are checked, and so that a file of
fifty gigabytes is described without a library that maps it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from io import BufferedReader
from pathlib import Path
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.core.picture_kinds import HEAD_BYTES, describe
from allaprima.paint.bases.files.header import (
    FETCH_AGAIN,
    MAX_TENSORS,
    FileHeader,
    StoredTensor,
    check_extents,
    check_shape,
)
from allaprima.paint.bases.folder import PICKLES
from allaprima.paint.bases.lfs_pointer import refuse_lfs_pointer

MAX_HEADER_BYTES = 16 << 20
"""Four thousand tensors need 600 KB; a graph of ComfyUI in the metadata some megabytes."""

ITEM_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I64": 64, "I32": 32,
    "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64, "F4": 4,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""The bits of one number in each dtype of safetensors."""

_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_METADATA = "__metadata__"


def parse_safetensors(path: Path, file: BufferedReader, file_bytes: int) -> FileHeader:
    """Return the header of `file`, which is `path` opened at its beginning."""
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    plausible = 2 <= length <= file_bytes - 8 and start[8:] == b"{"
    if not plausible:
        refuse_lfs_pointer(path)
        raise WeightsError(_what_else(path, start, file, file_bytes))
    if length > MAX_HEADER_BYTES:
        raise WeightsError(f"{path} has a header of {length:,} bytes; expected at most {MAX_HEADER_BYTES:,}")
    text = start[8:] + file.read(length - 1)
    if text.count(b"{") > 2 * MAX_TENSORS:
        raise WeightsError(f"{path} names too many tensors; expected at most {MAX_TENSORS:,}")
    announced = _read_json(path, text)
    metadata = announced.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError(f"{path} has metadata that are not words; expected a JSON object of strings")
    tensors = {name: _read_entry(path, name, entry) for name, entry in announced.items()}
    data_bytes = file_bytes - 8 - length
    end = check_extents(path, tensors, data_bytes)
    if end != sum(tensor.num_bytes for tensor in tensors.values()) or end != data_bytes:
        raise WeightsError(
            f"{path} holds {data_bytes:,} bytes of tensors, and its header says otherwise; {FETCH_AGAIN}"
        )
    return FileHeader(
        path=path, container="safetensors", tensors=tensors, metadata=metadata, data_begin=8 + length,
        file_bytes=file_bytes,
    )  # fmt: skip


def _what_else(path: Path, start: bytes, file: BufferedReader, file_bytes: int) -> str:
    """Return the sentence that refuses what is no safetensors file."""
    if start.startswith(_PICKLE_STARTS) or path.suffix.lower() in PICKLES:
        return (
            f"{path} is a pickle, which may run any code when read, so it never is; expected .safetensors, which "
            "most model pages offer beside it"
        )
    what = describe(start + file.read(HEAD_BYTES))
    if what in ("text", "no picture"):
        what = f"cut short or no weight file: {file_bytes:,} bytes"
    return f"{path} is {what}; {FETCH_AGAIN}"


def _read_json(path: Path, text: bytes) -> dict[str, Any]:
    try:
        announced = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise WeightsError(f"{path} {error}; expected every name once") from error
        raise WeightsError(f"{path} has a header that is no JSON; {FETCH_AGAIN}") from error
    if not isinstance(announced, dict):
        raise WeightsError(f"{path} has a header that is no JSON object; {FETCH_AGAIN}")
    return announced


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    announced = dict(pairs)
    if len(announced) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise WeightsError(f"names {twice[:100]!r} twice")
    return announced


def _read_entry(path: Path, name: str, entry: object) -> StoredTensor:
    """Return the tensor that `entry` announces, whose bytes follow from its shape."""
    if not (isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}):
        raise WeightsError(
            f"{path}: {name[:100]!r} is {str(entry)[:60]}; expected dtype, shape and data_offsets"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BITS:
        raise WeightsError(
            f"{path}: {name[:100]!r} has the dtype {str(dtype)[:40]!r}; expected one of safetensors"
        )
    if not isinstance(shape, list):
        raise WeightsError(f"{path}: {name[:100]!r} has no shape; expected a list of sides")
    sides = check_shape(path, name, shape)
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(at) is int for at in offsets)):
        raise WeightsError(f"{path}: {name[:100]!r} lies nowhere; expected two data_offsets")
    begin, end = offsets
    num_bits = math.prod(sides) * ITEM_BITS[dtype]
    if not 0 <= begin <= end or 8 * (end - begin) != num_bits:
        raise WeightsError(
            f"{path}: {name[:100]!r} has {end - begin:,} bytes for {dtype} of shape {str(list(sides))[:60]}; "
            f"expected {num_bits / 8:,.0f}"
        )
    return StoredTensor(dtype, sides, begin, end)

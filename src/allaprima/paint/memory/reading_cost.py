"""What reading a base's files takes beside its weights, from their headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from allaprima.paint.bases.files.header import FileHeader, StoredTensor
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.loading import Located
from allaprima.paint.contract.base import Base, Stage

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_STAGES: Mapping[PartName, Stage] = {"text_encoder": "text", "vae": "decode"}
"""The stages of parts in files of their own; any other is the denoiser."""


@dataclass(frozen=True, kw_only=True)
class ReadingCost:
    """Bytes that reading the files takes besides the weights."""

    peak: int = 0
    """While one part is read."""
    lasting: Mapping[Stage, int] = field(default_factory=dict)
    """As long as a stage's networks are in memory; below 0 where weights are never touched."""


def reading_cost(located: Located, base: Base, dtype: torch.dtype, *, rounded_off: int = 0) -> ReadingCost:
    """Return what reading the files adds to the resident set of a process on a CPU.

    Tensors in another number format are mapped and converted, a file or a portion of it at a time, and the mapping is
    let go. Tensors in the right format, quantised ones too, stay where they are mapped, and only the pages that were
    read are resident: of a text encoder's table of words next to none. A base that ships, which has no such files, is
    unpacked.

    Args:
        base: without weights, of the shapes that it will have.
        rounded_off: how many bytes fewer its weights take than before they were rounded on the fly.
    """
    headers = [read_header(path) for path in located.weight_files()]
    if not headers:
        return ReadingCost(lasting=base.prepacked_bytes(mapped=False))
    if located.path is not None and located.path.is_file() and base.traits.read_portion_bytes is None:
        cost = _mapped_cost(located, base, dtype)
    else:
        cost = _converted_cost(headers, base, dtype)
    return ReadingCost(peak=cost.peak + rounded_off, lasting=cost.lasting)


def _converted_cost(headers: list[FileHeader], base: Base, dtype: torch.dtype) -> ReadingCost:
    """Return the cost of files that are read whole, or a portion at a time, where they are not used as they are."""
    converted = max((header.file_bytes for header in headers if _most(header) != dtype), default=0)
    if converted:
        portion = base.traits.read_portion_bytes
        peak = converted if portion is None else min(converted, portion)
        return ReadingCost(peak=peak, lasting=base.prepacked_bytes(mapped=False))
    lasting = dict(base.prepacked_bytes(mapped=True))
    return ReadingCost(lasting={**lasting, "text": lasting.get("text", 0) - _word_bytes(base)})


def _mapped_cost(located: Located, base: Base, dtype: torch.dtype) -> ReadingCost:
    """Return the cost of files that are read tensor by tensor.

    A file stays mapped, and so do the pages of what was converted, as long as anything in it is used where it lies.
    """
    parts = {path: part for part, path in located.parts.items()}
    tables = {(table.num_embeddings, table.embedding_dim) for table in _tables(base)}
    lasting: Counter[Stage] = Counter(base.prepacked_bytes(mapped=True))
    peak = 0
    for path in located.weight_files():
        tensors = read_header(path).tensors.values()
        converted = sum(tensor.num_bytes for tensor in tensors if _is_converted(tensor, dtype))
        if converted == sum(tensor.num_bytes for tensor in tensors):
            peak = max(peak, converted)
        else:
            lasting[_STAGES.get(parts.get(path, "transformer"), "predict")] += converted
        if any(tensor.shape in tables and not _is_converted(tensor, dtype) for tensor in tensors):
            lasting["text"] -= _word_bytes(base)
    return ReadingCost(peak=peak, lasting=lasting)


def _is_converted(tensor: StoredTensor, dtype: torch.dtype) -> bool:
    """Return whether a tensor becomes another one: floats of other formats, quantised ones that are no layer's."""
    stored = _DTYPES.get(tensor.dtype)
    return stored != dtype if stored is not None else len(tensor.shape) != 2


def _most(header: FileHeader) -> torch.dtype:
    """Return the number format of most of a file."""
    numbers: Counter[str] = Counter()
    for tensor in header.tensors.values():
        numbers[tensor.dtype] += tensor.num_numbers
    stored = numbers.most_common(1)[0][0] if numbers else "F32"
    return _DTYPES.get(stored, torch.uint8)


def _word_bytes(base: Base) -> int:
    """Return the size of the tables of words, of which a prompt reads a few rows."""
    return sum(parameter.nbytes for table in _tables(base) for parameter in table.parameters(recurse=False))


def _tables(base: Base) -> list[nn.Embedding]:
    return [
        layer
        for network in base.stages()["text"]
        for layer in network.modules()
        if isinstance(layer, nn.Embedding)
    ]

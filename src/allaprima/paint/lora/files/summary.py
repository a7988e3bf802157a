"""A LoRA file as its header describes it, without a base: its dialect, its ranks, what it was made for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.accelerators import with_accelerator
from allaprima.paint.lora.files.adapter_config import read_configs
from allaprima.paint.lora.files.dialects import KeyName
from allaprima.paint.lora.files.families import Architecture
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.keys import (
    architecture_of,
    check_layers,
    check_lengths,
    name_some,
    parse_keys,
)
from allaprima.paint.lora.files.locations import weights_at
from allaprima.paint.lora.files.metadata import LoraMetadata, metadata_at

_METHODS = {
    "down": "LoRA", "hada_w1_a": "LoHa", "lokr_w1": "LoKr", "lokr_w1_a": "LoKr", "diff": "difference",
    "dora": "DoRA", "magnitude": "DoRA", "w_norm": "norm", "diff_b": "bias", "up_bias": "bias",
}  # fmt: skip
_RANK_AT = {"down": 0, "hada_w1_b": 0, "lokr_w2_b": 0, "lokr_w1_b": 0}
"""Roles whose first size is the rank."""


@dataclass(frozen=True, kw_only=True)
class LoraSummary:
    """A file as its header describes it."""

    path: Path
    """The file of the weights."""
    made_for: str
    """The base it was made for, in words."""
    architecture: Architecture
    """The base its layers look made for."""
    dialects: tuple[str, ...]
    """The programs whose names the tensors have."""
    methods: dict[str, int]
    """The number of layers by method: LoRA, LoHa, LoKr or difference, and DoRA, norm or bias beside these."""
    ranks: dict[int, int]
    """The number of layers by rank."""
    dtypes: dict[str, int]
    """The number of tensors by dtype, as safetensors names it."""
    unknown: tuple[str, ...]
    """The keys that belong to no dialect."""
    num_bytes: int
    """The size of the file."""
    metadata: LoraMetadata
    """What the file says about itself."""

    @property
    def family(self) -> str | None:
        """The family of that base, by what the file says and the layers show; None if neither tells."""
        return self.architecture.family

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        metadata = self.metadata
        return {
            "path": str(self.path), "made_for": self.made_for, "family": self.family,
            "dialects": list(self.dialects), "methods": self.methods,
            "ranks": {str(rank): layers for rank, layers in self.ranks.items()}, "dtypes": self.dtypes,
            "unknown_keys": list(self.unknown), "bytes": self.num_bytes, "base_hash": metadata.base_hash,
            "sigmas": list(metadata.sigmas), "schedule": metadata.schedule, "steps": metadata.steps,
            "guidance": metadata.guidance, "accelerator": metadata.accelerator,
            "trigger_words": list(metadata.trigger_words),
            "license": metadata.license, "commit": metadata.commit,
        }  # fmt: skip


def read_summary(path: Path) -> LoraSummary:
    """Return the summary of the LoRA at `path`; its numbers are neither read nor checked.

    Raises:
        LoraError: it is no LoRA that could be used with any base.
    """
    weights = weights_at(path)
    header = read_header(weights)
    entries, metadata = header.layout.entries, metadata_at(weights, header)
    names = parse_keys(weights, entries)
    check_layers(weights, names, entries)
    known = {key: name for key, name in names.items() if name is not None}
    networks = tuple({network for name in known.values() for network in name.networks})
    check_lengths(weights, names, read_configs(weights, header.metadata, networks))
    _check_halves(weights, known)
    ranks = [(key, _RANK_AT[name.role]) for key, name in known.items() if name.role in _RANK_AT]
    shapes = {key: entry.shape for key, entry in entries.items()}
    made_for = architecture_of(names, shapes, metadata.family)
    return LoraSummary(
        path=weights,
        made_for=str(made_for),
        architecture=made_for,
        dialects=tuple(dict.fromkeys(name.dialect for name in known.values())),
        methods=dict(Counter(_METHODS[name.role] for name in known.values() if name.role in _METHODS)),
        ranks=dict(sorted(Counter(shapes[key][at] for key, at in ranks if shapes[key]).items())),
        dtypes=dict(Counter(entry.dtype for entry in entries.values())),
        unknown=tuple(key for key, name in names.items() if name is None),
        num_bytes=header.file_bytes,
        metadata=with_accelerator(metadata, weights, made_for.family),
    )


def _check_halves(path: Path, names: dict[str, KeyName]) -> None:
    """Refuse a file in which the first or the second matrix of a layer is missing."""
    halves: dict[tuple[str, str], set[str]] = {}
    for name in names.values():
        if name.role in ("down", "up"):
            halves.setdefault((name.dialect, name.layer), set()).add(name.role)
    alone = [layer for (_, layer), roles in halves.items() if len(roles) < 2]
    if alone:
        raise LoraError(
            f"{path}: {len(alone)} of {len(halves)} layers have only one of their two matrices "
            f"({name_some(alone)}); expected both, so the file is not whole"
        )

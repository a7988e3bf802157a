"""What can be said of a LoRA file without a base: its dialect, its ranks, what it was made for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import read_configs
from allaprima.paint.lora.files.checks import architecture_of, name_some, parse_keys
from allaprima.paint.lora.files.dialects import KeyName
from allaprima.paint.lora.files.families import Architecture
from allaprima.paint.lora.files.header import DTYPES, read_header
from allaprima.paint.lora.files.locations import weights_at
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata

_METHODS = {"down": "LoRA", "hada_w1_a": "LoHa", "lokr_w1": "LoKr", "lokr_w1_a": "LoKr", "diff": "difference"}
_RANK_AT = {"down": 0, "hada_w1_b": 0, "lokr_w2_b": 0, "lokr_w1_b": 0}
"""Roles whose first size is the rank."""


@dataclass(frozen=True, kw_only=True)
class LoraSummary:
    """A file as its header describes it.

    Attributes:
        path: of the weights.
        made_for: the base, in words.
        architecture: which base its layers look made for.
        dialects: whose names the tensors have.
        methods: LoRA, LoHa, LoKr or difference, with the layers of each.
        ranks: with the layers of each.
        dtypes: with the tensors of each.
        unknown: keys that belong to no dialect.
        num_bytes: of the file.
        metadata: what it says of itself.
    """

    path: Path
    made_for: str
    architecture: Architecture
    dialects: tuple[str, ...]
    methods: dict[str, int]
    ranks: dict[int, int]
    dtypes: dict[str, int]
    unknown: tuple[str, ...]
    num_bytes: int
    metadata: LoraMetadata

    @property
    def family(self) -> str | None:
        """Of that base, by what the file says and the layers show; None if neither tells."""
        return self.architecture.family

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = self.metadata
        return {
            "path": str(self.path),
            "made_for": self.made_for,
            "family": self.family,
            "dialects": list(self.dialects),
            "methods": self.methods,
            "ranks": {str(rank): layers for rank, layers in self.ranks.items()},
            "dtypes": self.dtypes,
            "unknown_keys": list(self.unknown),
            "bytes": self.num_bytes,
            "base_hash": told.base_hash,
            "sigmas": list(told.sigmas),
            "schedule": told.schedule,
            "steps": told.steps,
            "guidance": told.guidance,
            "trigger_words": list(told.trigger_words),
            "license": told.license,
            "commit": told.commit,
        }


def read_summary(path: Path) -> LoraSummary:
    """Return what the header of the LoRA at `path` says; the numbers are neither read nor judged.

    Raises:
        LoraError: it is no LoRA that could be used with any base.
    """
    place = weights_at(path)
    header = read_header(place)
    if not header.entries:
        raise LoraError(f"{place} holds no tensor; expected a LoRA")
    try:
        metadata = read_metadata(header.metadata)
    except LoraError as error:
        raise LoraError(f"{place}: {error}") from error
    names = parse_keys(place, header.entries)
    known = {key: name for key, name in names.items() if name is not None}
    read_configs(place, header.metadata, tuple({one for name in known.values() for one in name.networks}))
    _check_halves(place, known)
    ranks = [(key, _RANK_AT[name.role]) for key, name in known.items() if name.role in _RANK_AT]
    dtypes = {dtype: word for word, dtype in DTYPES.items()}
    shapes = {key: entry.shape for key, entry in header.entries.items()}
    made_for = architecture_of(names, shapes, metadata.family)
    return LoraSummary(
        path=place,
        made_for=str(made_for),
        architecture=made_for,
        dialects=tuple(dict.fromkeys(name.dialect for name in known.values())),
        methods=dict(Counter(_METHODS[name.role] for name in known.values() if name.role in _METHODS)),
        ranks=dict(sorted(Counter(shapes[key][at] for key, at in ranks if shapes[key]).items())),
        dtypes=dict(Counter(dtypes[entry.dtype] for entry in header.entries.values())),
        unknown=tuple(key for key, name in names.items() if name is None),
        num_bytes=header.file_bytes,
        metadata=metadata,
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

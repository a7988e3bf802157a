"""PEFT's configuration beside the tensors: it holds the alpha that PEFT's and diffusers' files leave out.

It stands in `adapter_config.json` beside the file, or inside it: under `adapter_config` where we converted a
pickle, under `lora_adapter_metadata` with each network's name before each key where diffusers wrote the file. Only
what changes the numbers is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.patterns import LayerNumbers

INSIDE = "lora_adapter_metadata"
EMBEDDED = "adapter_config"
BESIDE = "adapter_config.json"
USUAL = ("adapter_model", "pytorch_lora_weights")
"""What PEFT and diffusers call the weights beside it, without their ending."""
MAX_CONFIG_BYTES = 4 << 20
MAX_NUMBER = 1e6

_TYPES = frozenset({"LORA", "LOHA", "LOKR"})


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """How strongly the layers of one network count."""

    alpha: float | None = None
    """The alpha of every layer; None where it is the layer's rank."""
    alphas: LayerNumbers = field(default_factory=LayerNumbers)
    """The alphas of single layers."""
    rank: float | None = None
    """The rank of every layer; needed where the tensors do not show it."""
    ranks: LayerNumbers = field(default_factory=LayerNumbers)
    """The ranks of single layers."""
    root: bool = False
    """Whether alpha is divided by the rank's square root (rsLoRA, arXiv:2312.03732) and not by the rank."""

    dora: bool = False
    """Whether the file is to hold lengths beside its matrices."""

    def scale(self, path: str, rank: int | None) -> float:
        """Return what a layer's update is to be multiplied with.

        Args:
            rank: of its tensors; None where they are whole and only the configuration tells it.
        """
        alpha = self.alphas.find(path, self.alpha)
        divisor = self.ranks.find(path, self.rank) if rank is None else rank
        if alpha is None or divisor is None:
            return 1.0
        return alpha / (math.sqrt(divisor) if self.root else divisor)

    def unmatched(self, paths: Collection[str]) -> tuple[str, ...]:
        """Return the patterns, each behind its key, that match no layer of `paths`."""
        patterns = {"alpha_pattern": self.alphas, "rank_pattern": self.ranks}
        return tuple(
            f"{key} {pattern}" for key, numbers in patterns.items() for pattern in numbers.unmatched(paths)
        )


def read_configs(
    path: Path, metadata: Mapping[str, str], networks: tuple[str, ...]
) -> dict[str, AdapterConfig]:
    """Return each network's configuration: from inside the file, or from beside it, or else an empty one."""
    if INSIDE in metadata:
        where = f"{path}: {INSIDE}"
        values = _parse(where, metadata[INSIDE])
        return {network: _config(where, _values_of(values, f"{network}.")) for network in networks}
    if EMBEDDED in metadata:
        where = f"{path}: {EMBEDDED}"
        return dict.fromkeys(networks, _config(where, _parse(where, metadata[EMBEDDED])))
    beside = config_beside(path)
    given = {} if beside is None else _parse(str(beside), _text(beside))
    return dict.fromkeys(networks, _config(str(beside), given))


def config_beside(weights: Path) -> Path | None:
    """Return the configuration that lies beside the file `weights`, if it is for that file.

    It is for PEFT's or diffusers' usual name, if that is there, and else for the only weights beside it.
    """
    config = weights.with_name(BESIDE)
    if not config.is_file():
        return None
    files = [file for file in weights.parent.iterdir() if file.suffix.lower() == weights.suffix.lower()]
    usual = [file for stem in USUAL for file in files if file.stem == stem]
    owner = usual[0] if usual else files[0] if len(files) == 1 else None
    return config if owner is not None and owner.name == weights.name else None


def _values_of(values: Mapping[str, Any], beginning: str) -> dict[str, Any]:
    return {key.removeprefix(beginning): value for key, value in values.items() if key.startswith(beginning)}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise LoraError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes; expected PEFT's configuration")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoraError(f"cannot read {path}: {error}; expected PEFT's configuration as JSON") from error


def _parse(where: str, text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoraError(f"{where} is no JSON; expected PEFT's configuration") from error
    if not isinstance(config, dict):
        raise LoraError(f"{where} holds {config!r:.40}; expected a JSON object")
    return config


def _config(where: str, config: Mapping[str, Any]) -> AdapterConfig:
    kind = "LORA" if config.get("peft_type") is None else str(config["peft_type"])
    if kind not in _TYPES:
        raise LoraError(
            f"{where} says {kind[:40]!a}; expected LoRA, LoHa or LoKr: no other update can be used here"
        )
    alpha = _number(where, "lora_alpha", config.get("lora_alpha", config.get("alpha")))
    rank = _number(where, "r", config.get("r"))
    ranks = _numbers(where, "rank_pattern", config.get("rank_pattern"))
    if any(number is not None and number < 1 for number in (rank, *ranks.by_pattern.values())):
        raise LoraError(
            f"{where} has r {rank} and rank_pattern {str(ranks.by_pattern)[:80]}; expected ranks of at least 1"
        )
    return AdapterConfig(
        alpha=alpha,
        alphas=_numbers(where, "alpha_pattern", config.get("alpha_pattern")),
        rank=rank,
        ranks=ranks,
        root=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
    )


def _numbers(where: str, key: str, config: Any) -> LayerNumbers:
    if not isinstance(config or {}, dict):
        raise LoraError(f"{where} has {key} {config!r:.80}; expected a JSON object of numbers")
    numbers = {pattern: _number(where, key, value) for pattern, value in (config or {}).items()}
    known = {pattern: value for pattern, value in numbers.items() if value is not None}
    try:
        return LayerNumbers(by_pattern=known)
    except ValueError as error:
        raise LoraError(f"{where}: {key} {error}") from error


def _number(where: str, key: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < MAX_NUMBER:
        raise LoraError(f"{where} has {key} {value!r:.40}; expected a number below {MAX_NUMBER:g}")
    return float(value)

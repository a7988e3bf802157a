"""PEFT's configuration beside the tensors: it holds the alpha that PEFT's and diffusers' files leave out.

It stands in `adapter_config.json` beside the file, or inside it under `lora_adapter_metadata` with each network's
name before each key. Only what changes the numbers is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allaprima.core.errors import LoraError

INSIDE = "lora_adapter_metadata"
BESIDE = "adapter_config.json"
MAX_CONFIG_BYTES = 4 << 20

_TYPES = frozenset({"LORA", "LOHA", "LOKR"})


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """How strongly the layers of one network count.

    Attributes:
        alpha: of every layer; None where it is its rank.
        alphas: of single layers, by path or the end of one.
        root: whether it is divided by the rank's square root (rsLoRA, arXiv:2312.03732) and not by the rank.
    """

    alpha: float | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)
    root: bool = False

    def scale(self, path: str, rank: int) -> float:
        """Return what a layer's update is to be multiplied with."""
        own = (value for name, value in self.alphas.items() if path == name or path.endswith(f".{name}"))
        alpha = next(own, self.alpha)
        divisor = math.sqrt(rank) if self.root else rank
        return 1.0 if alpha is None else alpha / divisor


def read_configs(
    path: Path, metadata: Mapping[str, str], networks: tuple[str, ...]
) -> dict[str, AdapterConfig]:
    """Return each network's configuration: from inside the file, or else from beside it, or else PEFT's silence.

    Raises:
        LoraError: a configuration that is there cannot be understood, or asks for more than a plain update.
    """
    if INSIDE in metadata:
        where, found = f"{path}: {INSIDE}", _parse(f"{path}: {INSIDE}", metadata[INSIDE])
        return {
            network: _config(
                where,
                {
                    key.removeprefix(f"{network}."): value
                    for key, value in found.items()
                    if key.startswith(f"{network}.")
                },
            )
            for network in networks
        }
    beside = path.with_name(BESIDE)
    config = AdapterConfig()
    if beside.is_file():
        config = _config(str(beside), _parse(str(beside), _text(beside)))
    return dict.fromkeys(networks, config)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise LoraError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes; expected PEFT's configuration")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoraError(f"cannot read {path}: {error}; expected PEFT's configuration as JSON") from error


def _parse(where: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoraError(f"{where} is no JSON; expected PEFT's configuration") from error
    if not isinstance(found, dict):
        raise LoraError(f"{where} holds {str(found)[:40]}; expected a JSON object")
    return found


def _config(where: str, found: Mapping[str, Any]) -> AdapterConfig:
    kind = found.get("peft_type") or "LORA"
    if kind not in _TYPES or found.get("use_dora"):
        what = "DoRA" if kind in _TYPES else str(kind)[:40]
        raise LoraError(
            f"{where} says {what}; expected a plain LoRA, LoHa or LoKr: no other update can be used here"
        )
    alphas = found.get("alpha_pattern") or {}
    alpha = found.get("lora_alpha", found.get("alpha"))
    numbers = [alpha, *alphas.values()] if isinstance(alphas, dict) else [math.nan]
    if not all(one is None or _is_number(one) for one in numbers):
        raise LoraError(
            f"{where} has lora_alpha {str(alpha)[:40]} and alpha_pattern {str(alphas)[:80]}; expected numbers"
        )
    return AdapterConfig(
        alpha=None if alpha is None else float(alpha),
        alphas={name.removeprefix("^"): float(value) for name, value in alphas.items() if value is not None},
        root=bool(found.get("use_rslora")),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6

"""The keys of a file, taken apart, and what they show of the base that the file was made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import AdapterConfig
from allaprima.paint.lora.files.dialects import KeyName, find_refused, parse_key
from allaprima.paint.lora.files.families import Architecture, look
from allaprima.paint.lora.files.header import TensorEntry

MAX_NAMED = 3


def parse_keys(path: Path, keys: Iterable[str]) -> dict[str, KeyName | None]:
    """Return each key taken apart."""
    names = {}
    for key in keys:
        if meaning := find_refused(key):
            raise LoraError(
                f"{path} holds {meaning} ({shown(key)}); expected LoRA, LoCon, LoHa, LoKr or DoRA: "
                "leaving it out would paint something else, ask for the LoRA without it"
            )
        names[key] = parse_key(key)
    return names


def check_lengths(
    path: Path, names: Mapping[str, KeyName | None], configs: Mapping[str, AdapterConfig]
) -> None:
    """Refuse a file without the lengths that its configuration says it has: it would be painted as a plain LoRA."""
    has_lengths = any(name is not None and name.role in ("dora", "magnitude") for name in names.values())
    if not has_lengths and any(config.dora for config in configs.values()):
        raise LoraError(
            f"{path} is a DoRA by its configuration and holds no lora_magnitude_vector; expected one for each layer"
        )


def check_layers(path: Path, names: Mapping[str, KeyName | None], entries: Mapping[str, TensorEntry]) -> None:
    """Refuse a layer's tensor of a kind that no layer can be made of; what belongs to no layer may be anything."""
    for key, name in names.items():
        if name is not None and (complaint := entries[key].complaint):
            raise LoraError(f"{path}: {shown(key)!r} {complaint}")


def architecture_of(
    names: Mapping[str, KeyName | None], shapes: Mapping[str, tuple[int, ...]], declared: str | None
) -> Architecture:
    """Return which base the layers of a file look made for."""
    widths: dict[str, int] = {}
    for key, name in names.items():
        if name is not None:
            shows_width = name.role in {"down", "hada_w1_b"} and len(shapes[key]) > 1
            widths[name.layer] = shapes[key][1] if shows_width else widths.get(name.layer, 0)
    return look(widths.items(), declared)


def name_some(keys: Iterable[str]) -> str:
    """Return the first few of `keys`, and how many more there are."""
    named = list(keys)
    more = len(named) - MAX_NAMED
    return ", ".join(map(shown, named[:MAX_NAMED])) + (f" and {more} more" if more > 0 else "")


def shown(key: str) -> str:
    """Return a file's own word as a message may hold it: cut short, and without what a terminal acts on."""
    return key[:200] if key[:200].isprintable() else ascii(key[:200])

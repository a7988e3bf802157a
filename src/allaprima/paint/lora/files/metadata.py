"""What a LoRA's file says about itself, in three vocabularies.

`allaprima.*` is ours; `modelspec.*` (Stability's ModelSpec 1.0.1) and `ss_*` (kohya's sd-scripts) are what other
programs read and write. Every value in a safetensors file's metadata is a string; ours are JSON where they are no
words.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.families import ARCHITECTURES, KOHYA_VERSIONS, find_family
from allaprima.paint.lora.files.header import Header

_FAMILY_KEYS = ("allaprima.family", "modelspec.architecture", "ss_base_model_version")
_HASH_KEYS = ("allaprima.base_hash", "ss_new_sd_model_hash")
_LICENSE_KEYS = ("modelspec.license", "license")
_WORDS = ("family", "base_hash", "sampler", "schedule", "commit")
"""The fields of `LoraMetadata` that are stored as they are."""
MAX_SIGMAS = 1000
SAMPLERS = ("euler", "lcm")


@dataclass(frozen=True, kw_only=True)
class LoraMetadata:
    """What is known of a LoRA besides its numbers; None and () where nobody says."""

    family: str | None = None
    """The family of the base it was trained for: "vignette", "qwen-image", "sdxl", or a foreign one."""
    base_hash: str | None = None
    """The SHA-256 of the base it was trained on."""
    sigmas: tuple[float, ...] = ()
    """The noise levels it was trained at, falling from 1.0, pure noise, to 0.0, one more than its steps."""
    times: tuple[float, ...] = ()
    """What the model is told at each level but the last; () for the level itself."""
    sampler: str | None = None
    """The sampler it was trained for: "euler", or "lcm" for fresh noise after every step."""
    schedule: str | None = None
    """The name of the schedule to paint with."""
    steps: int | None = None
    """The number of steps to paint with, at least 1."""
    guidance: float | None = None
    """The guidance to paint with; 1.0 is none."""
    accelerator: str | None = None
    """The title of the public accelerator it was recognised as, which says what the file does not."""
    most_steps: int | None = None
    """The most steps that such a one was trained for; `steps` where these are all."""
    trigger_words: tuple[str, ...] = ()
    """The words to put into the prompt."""
    license: str | None = None
    """The license in the file's own words."""
    commit: str | None = None
    """The commit of the source that trained it."""
    raw: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The file's metadata, unchanged."""


def metadata_at(path: Path, header: Header) -> LoraMetadata:
    """Return what the file at `path` says about itself in its `header`."""
    if not header.layout.entries:
        raise LoraError(f"{path} holds no tensor; expected a LoRA")
    try:
        return read_metadata(header.metadata)
    except LoraError as error:
        raise LoraError(f"{path}: {error}") from error


def read_metadata(raw: Mapping[str, str]) -> LoraMetadata:
    """Return what the metadata of a file mean.

    Raises:
        LoraError: one of our own keys holds what was never written there.
    """
    families = (find_family(raw[key]) for key in _FAMILY_KEYS if key in raw)
    sigmas, times = _levels(raw)
    sampler = raw.get("allaprima.sampler")
    steps = _ours(raw, "steps")
    guidance = _ours(raw, "guidance")
    if sampler is not None and sampler not in SAMPLERS:
        raise LoraError(f"got allaprima.sampler {sampler[:40]!r}; expected {' or '.join(SAMPLERS)}")
    if steps is not None and not (type(steps) is int and 1 <= steps <= 1000):
        raise LoraError(f"got allaprima.steps {steps!r:.40}; expected 1 to 1000")
    if guidance is not None and not (_is_number(guidance) and 0 <= guidance <= 30):
        raise LoraError(f"got allaprima.guidance {guidance!r:.40}; expected 0 to 30")
    words = raw.get("modelspec.trigger_phrase", "").split(",")
    return LoraMetadata(
        family=next(filter(None, families), None),
        base_hash=_first(raw, _HASH_KEYS),
        sigmas=sigmas,
        times=times,
        sampler=sampler,
        schedule=raw.get("allaprima.schedule"),
        steps=steps,
        guidance=None if guidance is None else float(guidance),
        trigger_words=tuple(word.strip() for word in words if word.strip()),
        license=_first(raw, _LICENSE_KEYS),
        commit=raw.get("allaprima.commit"),
        raw=MappingProxyType(dict(raw)),
    )


def stored_metadata(metadata: LoraMetadata, *, title: str, ranks: Mapping[str, int]) -> dict[str, str]:
    """Return the strings to write: those of the file it came from, overwritten by what is known."""
    words = {
        **{f"allaprima.{key}": getattr(metadata, key) for key in _WORDS},
        "modelspec.license": metadata.license,
        "modelspec.trigger_phrase": ", ".join(metadata.trigger_words) or None,
        "ss_new_sd_model_hash": metadata.base_hash,
    }
    counts = {str(rank): count for rank, count in sorted(Counter(ranks.values()).items())}
    values = {
        "allaprima.sigmas": list(metadata.sigmas) or None, "allaprima.times": list(metadata.times) or None,
        "allaprima.steps": metadata.steps, "allaprima.guidance": metadata.guidance,
        "allaprima.ranks": counts or None,
    }  # fmt: skip
    return (
        {key: value for key, value in metadata.raw.items() if not key.startswith("allaprima.")}
        | _for_others(metadata.family, title, ranks)
        | {key: value for key, value in words.items() if value is not None}
        | {key: json.dumps(value) for key, value in values.items() if value is not None}
    )


def _for_others(family: str | None, title: str, ranks: Mapping[str, int]) -> dict[str, str]:
    """Return the keys by which other programs show a LoRA and recognise its base."""
    keys = {
        "format": "pt", "modelspec.sai_model_spec": "1.0.1", "modelspec.title": title,
        "modelspec.implementation": "https://github.com/huggingface/diffusers", "ss_output_name": title,
        "ss_network_module": "networks.lora", "ss_v2": "False",
    }  # fmt: skip
    if family is not None:
        keys["modelspec.architecture"] = f"{ARCHITECTURES.get(family, family)}/lora"
        keys["ss_base_model_version"] = KOHYA_VERSIONS.get(family, family)
    if ranks:
        # alpha / rank is multiplied into the tensors, so alpha is the rank.
        rank = str(Counter(ranks.values()).most_common(1)[0][0])
        keys |= {"ss_network_dim": rank, "ss_network_alpha": rank}
    return keys


def _levels(raw: Mapping[str, str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the noise levels and the times at them."""
    sigmas, times = _ours(raw, "sigmas") or [], _ours(raw, "times") or []
    if not (
        isinstance(sigmas, list)
        and len(sigmas) <= MAX_SIGMAS
        and all(_is_number(sigma) and 0 <= sigma <= 1 for sigma in sigmas)
        and all(after < before for before, after in pairwise(sigmas))
        and (not sigmas or (len(sigmas) > 1 and sigmas[-1] == 0))
    ):
        raise LoraError(
            f"got allaprima.sigmas {sigmas!r:.80}; expected a list of numbers that fall, from 1 or less to 0"
        )
    if not (
        isinstance(times, list)
        and (not times or len(times) == len(sigmas) - 1)
        and all(_is_number(time) and 0 <= time <= 1000 for time in times)
    ):
        raise LoraError(
            f"got allaprima.times {times!r:.80}; expected a time from 0 to 1000 for each level but the last"
        )
    return tuple(map(float, sigmas)), tuple(map(float, times))


def _ours(raw: Mapping[str, str], key: str) -> Any:
    text = raw.get(f"allaprima.{key}")
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoraError(f"got allaprima.{key} {text[:80]!r}; expected JSON") from error


def _first(raw: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((raw[key] for key in keys if raw.get(key)), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

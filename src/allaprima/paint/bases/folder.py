"""Checks of a model in diffusers' folder layout, before anything heavy is imported or read.

model_index.json names the pipeline and, for each part, the library and the class. Each part is a folder with a
configuration and safetensors. Nothing is trusted: only the classes that a family names are ever made, and a pickle is
refused unread.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.lfs_pointer import refuse_lfs_pointer

INDEX = "model_index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""Endings of weight files that are no safetensors; most of them may run code when read."""

VARIANTS = ("fp16", "bf16", "fp32", "non_ema")
"""Forms of weights besides the plain one; the first that is there is taken where nobody asks for one."""

_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_MAX_JSON_BYTES = 64 * 2**20


def read_pipeline(folder: Path) -> str:
    """Return the class that a folder's model_index.json names."""
    if not (folder / INDEX).is_file():
        raise WeightsError(f"{folder} has no {INDEX}; expected a model folder as diffusers writes it")
    name = read_json(folder / INDEX).get("_class_name")
    if not isinstance(name, str):
        raise WeightsError(f"{folder / INDEX} names no _class_name; expected the class of a pipeline")
    return name


def check_parts(
    folder: Path,
    parts: Mapping[str, tuple[str, ...]],
    *,
    weights: Collection[str],
    tokenizers: Collection[str],
) -> None:
    """Refuse a folder in which a part is missing, of another class, or a pickle.

    Args:
        parts: the classes that each part may have, by its name.
        weights: the parts that must hold all of their weights, as safetensors.
        tokenizers: the parts that must hold a vocabulary.
    """
    index = read_json(folder / INDEX)
    for part, classes in parts.items():
        given = index.get(part)
        if not (isinstance(given, list) and len(given) == 2 and given[1] in classes):
            named = given[1] if isinstance(given, list) and len(given) == 2 else given
            raise WeightsError(
                f"{folder / INDEX} names {str(named)[:60]!r} for {part}; expected {' or '.join(classes)}"
            )
        if not (folder / part).is_dir():
            raise WeightsError(
                f"{folder} has no folder {part}, which its {INDEX} names; fetch the model again"
            )
    for part in weights:
        config = folder / part / "config.json"
        if not config.is_file():
            raise WeightsError(f"{folder / part} has no config.json; fetch the model again")
        read_json(config)
        check_weight_files(folder / part)
    for part in tokenizers:
        check_vocabulary(folder / part)


def check_weight_files(part: Path) -> None:
    """Refuse a part that does not hold all of its weights as safetensors."""
    names = {path.name for path in part.iterdir() if path.is_file()}
    for name in sorted(name for name in names if name.endswith(".safetensors")):
        refuse_lfs_pointer(part / name)
    indexes = sorted(name for name in names if name.endswith(".safetensors.index.json"))
    if not any(name.endswith(".safetensors") for name in names):
        pickle = next((name for name in sorted(names) if name.endswith(PICKLES)), None)
        if pickle is not None:
            raise WeightsError(
                f"{part / pickle} is a pickle, which may run any code when read; expected .safetensors, fetch that "
                "form of the model or convert it"
            )
        raise WeightsError(f"{part} holds no weights; expected .safetensors, fetch the model again")
    for index in indexes:
        shards = read_shards(part / index)
        if missing := [shard for shard in shards if shard not in names]:
            raise WeightsError(
                f"{part} lacks {missing[0]}, one of {len(missing)} missing of {len(shards)} shards that {index} "
                "names; fetch the model again"
            )


def find_variant(part: Path) -> str | None:
    """Return the form of a part's weights, as a word in their names; None if they are there in the plain form."""
    names = [path.name for path in part.glob("*.safetensors")]
    forms = {
        next((form for form in VARIANTS if f".{form}." in name or f".{form}-" in name), None)
        for name in names
    }
    return None if None in forms else next((form for form in VARIANTS if form in forms), None)


def read_shards(index: Path) -> list[str]:
    """Return the sorted names of the files in an index of shards."""
    named = read_json(index).get("weight_map")
    shards = list(named.values()) if isinstance(named, dict) else []
    if not shards or not all(isinstance(name, str) and Path(name).name == name for name in shards):
        raise WeightsError(f"{index} names no files beside it; expected a weight_map to them")
    return sorted(set(shards))


def check_vocabulary(part: Path) -> None:
    """Refuse a tokenizer without a vocabulary, which transformers would load, and which makes all prompts equal."""
    for name in (name for form in _VOCABULARIES for name in form):
        refuse_lfs_pointer(part / name)
    if not any(all((part / name).is_file() for name in form) for form in _VOCABULARIES):
        raise WeightsError(
            f"{part} holds no vocabulary; expected tokenizer.json, or vocab.json and merges.txt: fetch it again"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in the JSON file at `path`."""
    refuse_lfs_pointer(path)
    try:
        if (size := path.stat().st_size) > _MAX_JSON_BYTES:
            raise WeightsError(f"{path} has {size:,} bytes; expected a configuration of a few kilobytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"{path} cannot be read as JSON: {reason}") from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path} holds a {type(data).__name__}; expected a JSON object")
    return data

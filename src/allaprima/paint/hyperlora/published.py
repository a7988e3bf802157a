"""HyperLoRA's published weights, as ByteDance lays them out: a folder of safetensors beside one JSON.

    hyper_lora_modules.json          attention -> {hidden_size, cross_attention_dim}, in the order of the queries
    hyper_lora_modules.safetensors   {attention}.{to_q|to_k|to_v|to_out}.{id|base}_{down|up}_basis
    resampler.safetensors            reads the identity's tokens first, then the image's patches
    id_projector.safetensors         a linear layer and a norm; absent where no identity embedding is read
    base_resampler.safetensors       for the Base-LoRA; absent from what was published

The sizes are told by the tensors. Prompts begin with `TRIGGER_WORDS`, without which the published LoRAs do little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.folder import read_json
from allaprima.paint.hyperlora.hypernetwork import HyperLora, HyperLoraConfig
from allaprima.paint.hyperlora.projections import Projection, attention_projections

TRIGGER_WORDS: Final = "fcsks fxhks fhyks"
MODULES: Final = "hyper_lora_modules"
HEAD_WIDTH: Final = 64
"""The one size that no tensor tells; all published resamplers have it."""

_PARTS: Final = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
"""The projections of an attention in the order of their queries: in the file, and in the network."""

_RESAMPLER_KEYS: Final = (
    (r"latents", "queries"),
    (r"proj_in\.(\w+)", r"inlets.0.\1"),
    (r"proj_in_2\.(\w+)", r"inlets.1.\1"),
    (r"proj_out\.(\w+)", r"outlet.\1"),
    (r"layers\.(\d+)\.norm_attn1\.(\w+)", r"layers.\1.norm_among.\2"),
    (r"layers\.(\d+)\.norm_attn2_l\.(\w+)", r"layers.\1.norm_queries.0.\2"),
    (r"layers\.(\d+)\.norm_attn2_x\.(\w+)", r"layers.\1.norm_sources.0.\2"),
    (r"layers\.(\d+)\.norm_attn3_l\.(\w+)", r"layers.\1.norm_queries.1.\2"),
    (r"layers\.(\d+)\.norm_attn3_y\.(\w+)", r"layers.\1.norm_sources.1.\2"),
    (r"layers\.(\d+)\.norm_ff\.(\w+)", r"layers.\1.norm_feed.\2"),
    (r"layers\.(\d+)\.attn1\.(to_[qkv])\.weight", r"layers.\1.among_queries.\2.weight"),
    (r"layers\.(\d+)\.attn2\.(to_[qkv])\.weight", r"layers.\1.at_sources.0.\2.weight"),
    (r"layers\.(\d+)\.attn3\.(to_[qkv])\.weight", r"layers.\1.at_sources.1.\2.weight"),
    (r"layers\.(\d+)\.attn1\.to_out\.0\.weight", r"layers.\1.among_queries.to_out.weight"),
    (r"layers\.(\d+)\.attn2\.to_out\.0\.weight", r"layers.\1.at_sources.0.to_out.weight"),
    (r"layers\.(\d+)\.attn3\.to_out\.0\.weight", r"layers.\1.at_sources.1.to_out.weight"),
    (r"layers\.(\d+)\.ff\.net\.0\.proj\.(\w+)", r"layers.\1.widen.\2"),
    (r"layers\.(\d+)\.ff\.net\.2\.(\w+)", r"layers.\1.narrow.\2"),
)
_PROJECTOR_KEYS: Final = ((r"0\.(\w+)", r"linear.\1"), (r"2\.(\w+)", r"norm.\1"))


def load_published(folder: Path, networks: Mapping[str, nn.Module]) -> HyperLora:
    """Load the network in `folder` for the base that has `networks`.

    The tensors keep their number format, and stay where the files are mapped.

    Raises:
        WeightsError: a file is missing or damaged, or they are of another base or do not go together.
    """
    modules = _read(folder / f"{MODULES}.safetensors")
    resampler = _read(folder / "resampler.safetensors")
    projector = _read_optional(folder / "id_projector.safetensors")
    base_resampler = _read_optional(folder / "base_resampler.safetensors")
    projections = _projections(folder / f"{MODULES}.json", networks)
    try:
        config = _config(modules, resampler, projector, has_base=bool(base_resampler))
        with torch.device("meta"):
            network = HyperLora(projections, config)
        state = {
            **_renamed(resampler, _RESAMPLER_KEYS, "id_resampler"),
            **_renamed(base_resampler, _RESAMPLER_KEYS, "base_resampler"),
            **_renamed(projector, _PROJECTOR_KEYS, "id_projector"),
            **dict(_basis(modules, has_base=config.base_rank > 0)),
        }
        network.load_state_dict(state, assign=True)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"the HyperLoRA in {folder} cannot be followed: {reason}; expected the files of one published network"
        ) from error
    return network.eval().requires_grad_(False)


def _projections(path: Path, networks: Mapping[str, nn.Module]) -> tuple[Projection, ...]:
    """Return the projections in the order of the queries."""
    by_name = {_flat(found.key.partition(".")[2]): found for found in attention_projections(networks)}
    projections = []
    for attention in read_json(path):
        for part in _PARTS.values():
            name = f"{_flat(attention).removeprefix('lora_unet_')}_{_flat(part)}"
            if name not in by_name:
                raise WeightsError(
                    f"{path} is for a base with {name[:100]}, which this base has not; expected a HyperLoRA of its "
                    "family"
                )
            projections.append(by_name[name])
    return tuple(projections)


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _config(
    modules: Mapping[str, Tensor],
    resampler: Mapping[str, Tensor],
    projector: Mapping[str, Tensor],
    *,
    has_base: bool,
) -> HyperLoraConfig:
    down = modules["0.to_q.id_down_basis"]
    inlet, queries = resampler["proj_in.weight"], resampler["latents"]
    linear = projector.get("0.weight")
    patches = resampler.get("proj_in_2.weight")
    if patches is None and linear is None:
        patches = inlet
    return HyperLoraConfig(
        num_basis=down.shape[0],
        id_rank=down.shape[2],
        base_rank=modules["0.to_q.base_down_basis"].shape[2] if has_base else 0,
        patch_width=None if patches is None else patches.shape[1],
        embedding_width=None if linear is None else linear.shape[1],
        id_tokens=1 if linear is None else linear.shape[0] // inlet.shape[1],
        width=queries.shape[2],
        depth=len({key.split(".")[1] for key in resampler if key.startswith("layers.")}),
        heads=resampler["layers.0.attn1.to_q.weight"].shape[0] // HEAD_WIDTH,
        head_width=HEAD_WIDTH,
        widening=resampler["layers.0.ff.net.0.proj.weight"].shape[0] // queries.shape[2],
    )


def _basis(modules: Mapping[str, Tensor], *, has_base: bool) -> Iterator[tuple[str, Tensor]]:
    kinds = {"id": "id_basis"} | ({"base": "base_basis"} if has_base else {})
    for key, tensor in modules.items():
        match = re.fullmatch(r"(\d+)\.(to_\w+)\.(id|base)_(down|up)_basis", key)
        if match is None or match[2] not in _PARTS:
            raise ValueError(f"{MODULES}.safetensors has a tensor {key[:80]!r}")
        if match[3] in kinds:
            index = len(_PARTS) * int(match[1]) + list(_PARTS).index(match[2])
            yield f"{kinds[match[3]]}.{index}.{match[4]}", tensor


def _renamed(
    tensors: Mapping[str, Tensor], rules: Sequence[tuple[str, str]], prefix: str
) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in tensors.items():
        rule = next((rule for rule in rules if re.fullmatch(rule[0], key)), None)
        if rule is None:
            raise ValueError(f"{prefix}.safetensors has a tensor {key[:80]!r}")
        renamed[f"{prefix}.{re.sub(*rule, key)}"] = tensor
    return renamed


def _read_optional(path: Path) -> dict[str, Tensor]:
    return _read(path) if path.is_file() else {}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot read {path}: {str(error)[:200]}; expected the files of a published HyperLoRA in one folder"
        ) from error

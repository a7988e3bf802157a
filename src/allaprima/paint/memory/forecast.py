"""What each plan will take, before any weight is read.

    forecasts = forecast(spec, width=1024, height=1024, device=torch.device("cpu"), dtype=torch.float32)

The networks are made without weights from their configurations. What they weigh is counted, what they compute with is
rehearsed (`rehearsal`), and what reading the files takes follows from their headers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.loading import load_base, locate
from allaprima.paint.bases.vignette.base import VignetteBase
from allaprima.paint.contract.base import Base, Stage, TextStates
from allaprima.paint.memory.plan import RESERVE, MemoryForecast, MemoryPlan, plans_for
from allaprima.paint.memory.planned_base import decode_in, stride_of
from allaprima.paint.memory.process_memory import resident_bytes
from allaprima.paint.memory.rehearsal import Rehearsal

STAGES: tuple[Stage, ...] = ("text", "predict", "decode")
TOKENS = {"qwen-image": 128, "sdxl": 77, "vignette": 24}
"""Of a prompt of some sentences; the pictures' tokens are many more."""
_FORMATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
HEAP = 96 * 2**20
"""What the C library's heap keeps at most of what is freed: it hands out blocks of up to 32 MiB, gives few back."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What reading files takes besides the weights."""

    beside: int = 0
    """While a part is read."""
    more: Mapping[Stage, int] = field(default_factory=dict)
    """As long as a stage's networks are there."""


@dataclass(frozen=True, kw_only=True)
class _Needs:
    """What one base takes at one size, by stage."""

    weights: Mapping[Stage, int]
    reading: int
    """What reading the files takes beside the weights, for the part that takes most."""
    work: Mapping[Stage, int]
    tiled_work: int
    flow: int
    """The largest pieces of the denoiser that are there at once when it is streamed."""
    leaf: int
    """The largest layer of text encoder and denoiser."""


def forecast(
    spec: str,
    *,
    width: int | None = None,
    height: int | None = None,
    device: torch.device,
    dtype: torch.dtype,
    count: int = 1,
    models_dirs: Sequence[Path] = (),
    weights: Path | None = None,
    held: int = 0,
) -> list[MemoryForecast]:
    """Return what every plan takes, from the quickest to the thriftiest.

    Args:
        spec: the base, see `bases.loading`.
        width: pixels; None for the base's own.
        height: pixels; None for the base's own.
        device: where it is to paint.
        dtype: what it is to compute in.
        count: pictures that share a pass.
        models_dirs: see `bases.loading`.
        weights: a folder of Vignette's weights.
        held: bytes of this base's weights that are in the process's memory already, not to be counted again.

    Raises:
        RequestError: there is no such base, or it paints no such size.
        WeightsError: a part is missing or damaged.
    """
    base = load_base(
        spec, device=torch.device("cpu"), dtype=dtype, models_dirs=models_dirs, weights=weights, absent=STAGES
    )
    width = base.defaults.width if width is None else width
    height = base.defaults.height if height is None else height
    base.check_size(width, height)
    path = locate(spec, models_dirs).path
    if device.type != "cpu":
        reading, floor, heap = _Reading(), 0, 0
    else:
        reading = _reading(path, base, dtype)
        floor, heap = max(0, resident_bytes() - held), HEAP
    needs = _needs(base, width, height, count, reading, heap)
    reserve = RESERVE if device.type == "cuda" else 0
    return [_forecast(plan, needs, floor, reserve) for plan in plans_for(device.type, base.family)]


def _forecast(plan: MemoryPlan, needs: _Needs, floor: int, reserve: int) -> MemoryForecast:
    text, predict, decode = (needs.weights[stage] for stage in STAGES)
    together = text + predict if plan.residency == "resident" else 0
    at_text = {"resident": together, "turns": text, "streamed": text, "sequential": needs.leaf}[
        plan.residency
    ]
    at_step = {"resident": together, "turns": predict, "streamed": needs.flow, "sequential": needs.leaf}
    after = {"resident": together, "turns": predict, "streamed": 0, "sequential": 0}[plan.residency]
    rest = floor + decode
    visiting = {"text encoder": text, "denoiser": predict}
    return MemoryForecast(
        plan=plan,
        bytes_by_moment={
            "load": rest + max(at_text, after) + needs.reading,
            "text": rest + at_text + needs.work["text"],
            "predict": rest + at_step[plan.residency] + needs.work["predict"],
            "decode": rest + after + (needs.tiled_work if plan.tiled else needs.work["decode"]),
        },
        resident={**(visiting if together else {}), "autoencoder": decode},
        visiting={} if together else visiting,
        reserve=reserve,
    )


def _needs(base: Base, width: int, height: int, count: int, reading: _Reading, heap: int) -> _Needs:
    stages = base.stages()
    networks = [network for stage in STAGES for network in stages[stage]]
    for network in networks:
        network.to("meta")
    with torch.inference_mode():
        latents = base.noise([0] * count, width, height).to("meta")
        text = _blank_text(base, rows=2 * count)
        with Rehearsal(networks, scratch=heap > 0) as step:
            pair = latents.repeat(2, 1, 1, 1)
            base.predict(pair, pair.new_zeros(len(pair)), text)
        decoding = []
        for tiled in (False, True):
            with Rehearsal(networks, scratch=heap > 0) as one:
                decode_in(base, latents, stride=stride_of(latents, width), tiled=tiled)
            decoding.append(one.peak_bytes + min(heap, one.peak_bytes))
    weights = {stage: sum(map(_size, stages[stage])) + reading.more.get(stage, 0) for stage in STAGES}
    return _Needs(
        weights=weights,
        reading=reading.beside,
        work={
            "text": _text_work(stages["text"]),
            "predict": step.peak_bytes + min(heap, step.peak_bytes),
            "decode": decoding[0],
        },
        tiled_work=decoding[1],
        flow=sum(map(_flowing, stages["predict"])),
        leaf=max(_leaves(module) for stage in ("text", "predict") for module in stages[stage]),
    )


def _size(network: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in network.parameters())


def _leaves(network: nn.Module) -> int:
    return max(sum(own.nbytes for own in module.parameters(recurse=False)) for module in network.modules())


def _flowing(network: nn.Module) -> int:
    """Two blocks, of which one computes and one arrives, and all that is in no block."""
    blocks = getattr(network, "transformer_blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        return 3 * _leaves(network)
    sizes = sorted(map(_size, blocks))
    return _size(network) - sum(sizes) + sum(sizes[-2:])


def _text_work(encoders: Sequence[nn.Module]) -> int:
    """A prompt of 512 tokens, at the widest layer some times over."""
    widest = max(
        max(layer.in_features, layer.out_features) * layer.weight.itemsize
        for encoder in encoders
        for layer in encoder.modules()
        if isinstance(layer, nn.Linear)
    )
    return 4 * 512 * widest


def _blank_text(base: Base, rows: int) -> TextStates:
    """Encoded prompts without numbers, as wide as the denoiser reads them."""
    (denoiser,) = base.stages()["predict"]
    config: Any = denoiser.config
    named = ("joint_attention_dim", "cross_attention_dim", "text_width")
    width = next(getattr(config, name) for name in named if hasattr(config, name))
    pooled = None
    if base.family == "sdxl":
        inputs = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        pooled = torch.empty(rows, inputs, device="meta")
    tokens = TOKENS[base.family]
    # The mask holds numbers, for bases look at it.
    mask = torch.ones(rows, tokens, dtype=torch.bool)
    return TextStates(states=torch.empty(rows, tokens, width, device="meta"), mask=mask, pooled=pooled)


def _reading(path: Path | None, base: Base, dtype: torch.dtype) -> _Reading:
    """What files do to the resident set of a CPU.

    Tensors in another number format are mapped, copied, and the mapping is let go, SDXL's a portion at a time. Those
    in the right format stay where they are mapped, and only what has been looked at is resident: of the table of
    words that is next to nothing. Vignette, which has no `path`, is unpacked, and laid out anew when it is used.
    """
    if path is None:
        return _Reading(more=base.laid_out_bytes() if isinstance(base, VignetteBase) else {})
    files = [_stored(file) for file in weight_files(path)]
    beside = max((size for kind, size in files if kind != dtype), default=0)
    if beside:
        if base.family == "sdxl":
            # Here, not above: these libraries are heavy, and the base has loaded them by now.
            from allaprima.paint.bases.sdxl.parts import PORTION

            beside = min(beside, PORTION)
        return _Reading(beside=beside)
    stages = base.stages()
    words = sum(
        layer.weight.nbytes
        for one in stages["text"]
        for layer in one.modules()
        if isinstance(layer, nn.Embedding)
    )
    more: dict[Stage, int] = {"text": -words}
    if base.family == "sdxl":
        # The UNet's convolutions are copied to channels last, beside what is mapped.
        more["predict"] = sum(
            own.nbytes for one in stages["predict"] for own in one.parameters() if own.ndim == 4
        )
    return _Reading(more=more)


def weight_files(path: Path) -> list[Path]:
    """Return the files of weights of a checkpoint, a folder or a file."""
    return [path] if path.is_file() else sorted(path.glob("*/*.safetensors"))


def _stored(file: Path) -> tuple[torch.dtype, int]:
    """The number format that most of a file is in, and its size; nothing but the header is read."""
    sizes: Counter[str] = Counter()
    try:
        with safe_open(file, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a dict)
                entry = opened.get_slice(name)
                sizes[entry.get_dtype()] += math.prod(entry.get_shape())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{file} cannot be read: {error}; expected a whole safetensors file") from error
    kind = sizes.most_common(1)[0][0] if sizes else "F32"
    return _FORMATS.get(kind, torch.uint8), file.stat().st_size

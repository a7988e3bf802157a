"""The memory that each plan will take, before any weight is read.

    forecasts = forecast(spec, width=1024, height=1024, device=torch.device("cpu"), dtype=torch.float32)

The networks are made from their configurations, without weights. Their weights are counted, their computations are
rehearsed (`rehearsal`), and the cost of reading the files follows from their headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.paint.bases.files.parts import NamedParts
from allaprima.paint.bases.loading import NO_PARTS, load_base, locate
from allaprima.paint.contract.base import Base, Stage, TextStates
from allaprima.paint.memory.blocks import find_blocks
from allaprima.paint.memory.plan import RESERVE, MemoryForecast, MemoryPlan, plans_for
from allaprima.paint.memory.planned_base import decode_in
from allaprima.paint.memory.process_memory import resident_bytes
from allaprima.paint.memory.reading_cost import ReadingCost, reading_cost
from allaprima.paint.memory.rehearsal import Rehearsal
from allaprima.paint.quantization.layers import QuantizedLinear

STAGES: tuple[Stage, ...] = ("text", "predict", "decode")
HEAP = 96 * 2**20
"""Bytes that the C library's heap keeps at most of freed blocks: it serves up to 32 MiB, and returns few of them."""

KERNELS = 24 * 2**20
"""Bytes of what a processor's libraries compile when they first compute: 20 to 40 MB in benchmarks.memory."""


@dataclass(frozen=True, kw_only=True)
class _Needs:
    """Bytes that one base takes at one size."""

    weights: Mapping[Stage, int]
    reading: int
    """While the costliest part is read, besides its weights."""
    work: Mapping[Stage, int]
    """Tensors of a stage's computation."""
    tiled_work: int
    """Tensors of a decode in tiles."""
    streamed: int
    """The weights of the denoiser that are on the device at once when it is streamed."""
    layer: int
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
    named: NamedParts = NO_PARTS,
    weights: Path | None = None,
    quantize: str | None = None,
    held: int = 0,
) -> list[MemoryForecast]:
    """Return a forecast for every plan, from the quickest to the thriftiest.

    Args:
        count: pictures that share a pass.
        quantize: see `load_base`.
        named: files of the base's parts, see `bases.loading.locate`.
        held: bytes of this base's weights that the process holds already, so that they are not counted twice.

    Raises:
        RequestError: there is no such base, or it paints no such size.
        WeightsError: a part is missing or damaged.
    """
    load = partial(
        load_base, spec, device=torch.device("cpu"), dtype=dtype, models_dirs=models_dirs, named=named,
        weights=weights, absent=STAGES,
    )  # fmt: skip
    base = load(quantize=quantize)
    width = base.defaults.width if width is None else width
    height = base.defaults.height if height is None else height
    base.check_size(width, height)
    if device.type != "cpu":
        reading, floor, heap = ReadingCost(), 0, 0
    else:
        located = locate(spec, models_dirs, named)
        rounded_off = 0 if quantize is None else _weight_bytes(load()) - _weight_bytes(base)
        reading = reading_cost(located, base, dtype, rounded_off=rounded_off)
        floor, heap = max(0, resident_bytes() - held), HEAP
    needs = _needs(base, width, height, count, reading, heap)
    reserve = RESERVE if device.type == "cuda" else 0
    plans = plans_for(device.type, reloads=base.traits.reloads)
    return [_forecast(plan, needs, floor, reserve) for plan in plans]


def _forecast(plan: MemoryPlan, needs: _Needs, floor: int, reserve: int) -> MemoryForecast:
    text, predict, decode = (needs.weights[stage] for stage in STAGES)
    together = text + predict if plan.residency == "resident" else 0
    at_text = {"resident": together, "turns": text, "streamed": text, "sequential": needs.layer}
    at_step = {"resident": together, "turns": predict, "streamed": needs.streamed, "sequential": needs.layer}
    after = {"resident": together, "turns": predict, "streamed": 0, "sequential": 0}[plan.residency]
    rest = floor + decode
    visiting = {"text encoder": text, "denoiser": predict}
    return MemoryForecast(
        plan=plan,
        bytes_by_moment={
            "load": rest + max(at_text[plan.residency], after) + needs.reading,
            "text": rest + at_text[plan.residency] + needs.work["text"],
            "predict": rest + at_step[plan.residency] + needs.work["predict"],
            "decode": rest + after + (needs.tiled_work if plan.tiled else needs.work["decode"]),
        },
        resident={**(visiting if together else {}), "autoencoder": decode},
        visiting={} if together else visiting,
        reserve=reserve,
    )


def _needs(base: Base, width: int, height: int, count: int, reading: ReadingCost, heap: int) -> _Needs:
    stages = base.stages()
    networks = [network for stage in STAGES for network in stages[stage]]
    for network in networks:
        network.to("meta")
    with torch.inference_mode():
        latents = base.noise([0] * count, width, height).to("meta")
        text = _empty_text(base, rows=2 * count)
        with Rehearsal(networks, scratch=heap > 0) as step:
            pair = latents.repeat(2, 1, 1, 1)
            if base.reads_mask:
                pair = torch.cat([pair, pair.new_ones(len(pair), 1, *pair.shape[2:]), pair], dim=1)
            base.predict(pair, pair.new_zeros(len(pair)), text)
        # What the heap keeps of denoising, and the kernels compiled for it, are still there while it decodes.
        kept = min(heap, step.peak_bytes) + (KERNELS if heap else 0)
        whole, tiled = (
            kept + _decode_work(base, latents, networks, heap, tiled=tiled) for tiled in (False, True)
        )
    return _Needs(
        weights={stage: sum(map(_size, stages[stage])) + reading.lasting.get(stage, 0) for stage in STAGES},
        reading=reading.peak,
        work={
            "text": _text_work(stages["text"]),
            "predict": step.peak_bytes + kept,
            "decode": whole,
        },
        tiled_work=tiled,
        streamed=sum(map(_streamed_size, stages["predict"])),
        layer=max(_largest_layer(module) for stage in ("text", "predict") for module in stages[stage]),
    )


def _decode_work(
    base: Base, latents: Tensor, networks: Sequence[nn.Module], heap: int, *, tiled: bool
) -> int:
    with Rehearsal(networks, scratch=heap > 0) as decode:
        decode_in(base, latents, tiled=tiled)
    return decode.peak_bytes + min(heap, decode.peak_bytes)


def _weight_bytes(base: Base) -> int:
    return sum(_size(network) for networks in base.stages().values() for network in networks)


def _size(network: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in network.parameters())


def _largest_layer(network: nn.Module) -> int:
    return max(sum(own.nbytes for own in module.parameters(recurse=False)) for module in network.modules())


def _streamed_size(network: nn.Module) -> int:
    """Return the size of two blocks, one that computes and one that arrives, and of all that is in no block."""
    blocks = find_blocks(network)
    if not blocks:
        return 3 * _largest_layer(network)
    sizes = sorted(map(_size, blocks))
    return _size(network) - sum(sizes) + sum(sizes[-2:])


def _itemsize(layer: nn.Linear) -> int:
    dtype = layer.compute_dtype if isinstance(layer, QuantizedLinear) else layer.weight.dtype
    return dtype.itemsize


def _text_work(encoders: Sequence[nn.Module]) -> int:
    """Return the size of four tensors of 512 tokens at the widest layer, and of the largest weight dequantised."""
    layers = [
        (layer, _itemsize(layer))
        for encoder in encoders
        for layer in encoder.modules()
        if isinstance(layer, nn.Linear)
    ]
    widest = max(max(layer.in_features, layer.out_features) * size for layer, size in layers)
    dequantised = [
        layer.in_features * layer.out_features * size
        for layer, size in layers
        if isinstance(layer, QuantizedLinear)
    ]
    return 4 * 512 * widest + max(dequantised, default=0)


def _empty_text(base: Base, rows: int) -> TextStates:
    """Return encoded prompts of the right shape, without numbers."""
    width, pooled_width = base.text_widths
    tokens = base.traits.prompt_tokens
    pooled = None if pooled_width is None else torch.empty(rows, pooled_width, device="meta")
    # The mask holds numbers, since bases read it.
    mask = torch.ones(rows, tokens, dtype=torch.bool)
    return TextStates(states=torch.empty(rows, tokens, width, device="meta"), mask=mask, pooled=pooled)

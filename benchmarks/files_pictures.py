"""What quantised weights do to pictures: Vignette's as the judge sees them, and tiny checkpoints in people's layouts.

Vignette's denoiser is rounded where `--quantize` would round a large base's, and its weights are set to the numbers
that the rounded ones stand for: it paints what layers that dequantise paint. Its four steps go through the turbo LoRA
that ships, which lies on the rounded weights as a side path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from benchmarks.harness import Row
from tests.paint.bases.qwen_image.test_parity import our_picture, stock_picture
from tests.tiny_files import Layout, make_split_pipeline, write_split
from tests.tiny_qwen import byte_tokenizer
from torch import Tensor, nn

from allaprima.core.request import GenerationRequest
from allaprima.lab.evaluation.judge import Judge, load_judge
from allaprima.lab.evaluation.rows import SuiteAnswer
from allaprima.lab.evaluation.suites import Ask, build_suites
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image
from allaprima.paint.painter import Painter
from allaprima.paint.quantization.formats import NF4_BLOCK, ROUNDED_FORMATS
from allaprima.paint.quantization.rounding import quantize_weight

BATCH = 16
MIN_NUMBERS = 2**14
"""Weights with fewer numbers stay as they are: Vignette's layers are smaller than those of large bases."""
MUST: dict[str, float | None] = {"fp8": 1.0, "int8": 1.0, "nf4": None}
"""Points that the judge may see less."""
LAYOUTS: tuple[Layout, ...] = ("fp32", "bf16", "fp8", "scale_weight", "weight_scale", "Q8_0", "Q4_K")


def vignette_rows(prompts: int) -> Iterator[Row]:
    """Yield the judge's score of the plain base, and how many points each format loses, over the same prompts."""
    asks = build_suites(prompts)
    judge, _ = load_judge()
    plain = _paint(asks, None)
    score = _score(judge, asks, plain)
    yield Row(name=f"Vignette, judge over {len(asks)} prompts", value=score, unit="%", better="higher")
    for name in ROUNDED_FORMATS:
        pictures = _paint(asks, name)
        lost = score - _score(judge, asks, pictures)
        yield Row(name=f"Vignette, {name}: points lost", value=lost, unit="points", must=MUST[name], aim=1.0)
        yield Row(name=f"Vignette, {name}: PSNR", value=_psnr(plain, pictures), unit="dB", better="higher")


def _paint(asks: Sequence[Ask], rounding: str | None) -> Tensor:
    """Return the pictures (N, 3, H, W) in [0, 1]."""
    with Painter.load(device="cpu") as painter:
        if rounding is not None:
            for network in painter.base.stages()["predict"]:
                _round(network, rounding)
        requests = [painter.request(prompt=ask.prompt, seed=ask.seed) for ask in asks]
        pictures = painter.paint_batch(requests)
    levels = np.stack([np.asarray(picture.image.convert("RGB")) for picture in pictures])
    return torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def _round(network: nn.Module, rounding: str) -> None:
    for layer in network.modules():
        if not isinstance(layer, nn.Linear) or layer.weight.numel() < MIN_NUMBERS:
            continue
        if rounding != "nf4" or layer.in_features % NF4_BLOCK == 0:
            layer.weight.copy_(quantize_weight(layer.weight, rounding).dequantize(layer.weight.dtype))


def _score(judge: Judge, asks: Sequence[Ask], pictures: Tensor) -> float:
    """Return the share of what was asked that the judge sees, in percent."""
    right = total = 0
    for begin in range(0, len(asks), BATCH):
        for ask, verdict in zip(asks[begin:], judge.look(pictures[begin : begin + BATCH]), strict=False):
            answer = SuiteAnswer(ask=ask, verdict=verdict)
            total += len(ask.asked)
            right += sum(map(answer.right, ask.asked))
    return 100 * right / total


def _psnr(plain: Tensor, other: Tensor) -> float:
    return -10 * math.log10(max(float((plain - other).square().mean()), 1e-12))


def layout_rows(folder: Path) -> Iterator[Row]:
    """Yield how far a tiny checkpoint in each layout is from stock diffusers with the same numbers, at most."""
    for layout in LAYOUTS:
        stock = make_split_pipeline()
        files = write_split(folder / layout, stock, layout)
        paths: dict[PartName, Path] = {part: files[part] for part in ("transformer", "text_encoder", "vae")}
        base = load_split_qwen_image(paths, dtype=torch.float32, tokenizer=byte_tokenizer)
        request = GenerationRequest(
            prompt="a cat on a rooftop", base=base.name, width=48, height=32, steps=2, seed=7, guidance=4.0
        )
        difference = float((our_picture(base, request) - stock_picture(stock, request)).abs().max())
        yield Row(
            name=f"tiny Qwen-Image, {layout}: off stock diffusers", value=difference, unit="", must=1e-5
        )

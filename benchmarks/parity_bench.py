"""One process of the parity suite: paints each case with stock diffusers and with us, and compares."""

from __future__ import annotations

import copy
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from benchmarks.parity_cases import Case
from benchmarks.parity_layouts import write_layout
from tests.tiny_loras import ATTENTION, DENOISER_ONLY, changed, deltas_of, make_updates, save, spell
from tests.tiny_sdxl import shapes_of, write_tiny_sdxl

from allaprima.core.errors import AllaPrimaError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.bases.sdxl.base import SdxlBase, load_sdxl
from allaprima.paint.bases.sdxl.scheduling import read_scheduler
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.manager import LoraManager
from allaprima.paint.painter import Painter

LEVELS = 1
"""How far apart two equal pictures may be, of 255."""
CAT: dict[str, Any] = {
    "prompt": "a cat", "negative_prompt": "rain", "width": 32, "height": 32, "steps": 4, "guidance": 1.0, "seed": 3,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a case."""

    case: Case
    verdict: str
    """equal, refused or apart."""
    told: str = ""
    """The refusal, or how far apart they are."""


def run_case(case: Case) -> Outcome:
    """Return what comes of `case`; equal is within `LEVELS`, refused is one sentence of ours."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as home:
        warnings.simplefilter("ignore")
        try:
            ours, stock_folder = _our_picture(case, Path(home))
        except AllaPrimaError as error:
            sentence = str(error).replace(home, "FOLDER")
            return Outcome(case=case, verdict="apart" if "\n" in sentence else "refused", told=sentence)
        try:
            stock = _stock_picture(case, stock_folder)
        except Exception as error:  # noqa: BLE001 (whatever stock raises, there is nothing to be equal to)
            return Outcome(case=case, verdict="apart", told=f"stock cannot paint it: {error!r:.200}")
    if stock.shape != ours.shape or int(stock.max()) - int(stock.min()) < 3:
        return Outcome(
            case=case, verdict="apart", told=f"stock's picture is flat or of shape {tuple(stock.shape)}"
        )
    apart = int((ours - stock).abs().max())
    return Outcome(case=case, verdict="equal" if apart <= LEVELS else "apart", told=f"{apart} levels")


@cache
def _home() -> tempfile.TemporaryDirectory[str]:
    """Return this process's folder, which goes when the process does."""
    return tempfile.TemporaryDirectory()


@cache
def _plain() -> Path:
    _quiet()
    return write_tiny_sdxl(Path(_home().name) / "plain")


def _quiet() -> None:
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)


@cache
def _plain_base() -> SdxlBase:
    return load_sdxl(_plain(), dtype=torch.float32)


@cache
def _plain_stock() -> Any:
    return _load_stock(_plain())


def _load_stock(folder: Path) -> Any:
    pipeline: Any = diffusers.StableDiffusionXLPipeline.from_pretrained(
        str(folder), local_files_only=True, torch_dtype=torch.float32
    )
    pipeline.watermark = None
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _request(case: Case, base: SdxlBase, loras: tuple[LoraUse, ...] = ()) -> GenerationRequest:
    return GenerationRequest(**{**CAT, **case.request, "base": base.name, "loras": loras})


def _our_picture(case: Case, home: Path) -> tuple[torch.Tensor, Path]:
    """Return our picture (H, W, 3), and the folder that stock is to paint from."""
    if case.layout is not None:
        path, stock = write_layout(case.layout, _plain(), home)
        base = load_sdxl(path, dtype=torch.float32, shapes=shapes_of(_plain()))
        return _pixels(Painter(base=base), _request(case, base)), stock
    base = _plain_base()
    if case.scheduler is not None:
        base = replace(base, scheduler=read_scheduler(case.scheduler))
    if case.lora is None:
        return _pixels(Painter(base=base), _request(case, base)), _plain()
    dialect, weight, alpha = case.lora
    save(home / "ink.safetensors", spell(_updates(dialect), dialect, alpha))
    manager = LoraManager(base.modules(), LoraFolder(home), family=base.family)
    try:
        request = _request(case, base, (LoraUse(name="ink", weight=weight),))
        return _pixels(Painter(base=base, lora_manager=manager), request), _plain()
    finally:
        manager.apply(())


def _pixels(painter: Painter, request: GenerationRequest) -> torch.Tensor:
    picture = painter.paint(request)
    levels = torch.frombuffer(bytearray(picture.rgb), dtype=torch.uint8)
    return levels.view(picture.height, picture.width, 3).to(torch.int16)


@cache
def _updates(dialect: str) -> dict[str, Any]:
    pattern = r"^unet.*attn\d\.(to_[qkv]|to_out\.0)$" if dialect in DENOISER_ONLY else ATTENTION
    updates: dict[str, Any] = make_updates(_plain_base().modules(), pattern)
    return updates


def _stock_picture(case: Case, folder: Path) -> torch.Tensor:
    pipeline = _plain_stock() if case.layout is None else _load_stock(folder)
    before = pipeline.scheduler
    try:
        if case.scheduler is not None:
            name = case.scheduler["_class_name"]
            pipeline.scheduler = getattr(diffusers, name).from_config(dict(case.scheduler))
        if case.lora is not None:
            pipeline = _with_lora(pipeline, case.lora)
        return _stock_pixels(pipeline, {**CAT, **case.request})
    finally:
        pipeline.scheduler = before


def _with_lora(pipeline: Any, lora: tuple[str, float, float | None]) -> Any:
    """Return a pipeline whose weights have what the LoRA adds, by arithmetic and not by a reader of files."""
    dialect, weight, _ = lora
    deltas = {key: weight * delta for key, delta in deltas_of(_updates(dialect)).items()}
    parts: Mapping[str, Any] = {
        "unet": pipeline.unet, "text_encoder": pipeline.text_encoder, "text_encoder_2": pipeline.text_encoder_2,
    }  # fmt: skip
    worn = copy.copy(pipeline)
    for name, network in changed(parts, deltas).items():
        worn.register_modules(**{name: network})
    return worn


def _stock_pixels(pipeline: Any, request: Mapping[str, Any]) -> torch.Tensor:
    pixels: torch.Tensor = pipeline(
        prompt=re.sub(r"\\([()])", r"\1", request["prompt"]),
        negative_prompt=request["negative_prompt"] or None,
        width=request["width"],
        height=request["height"],
        num_inference_steps=request["steps"],
        guidance_scale=request["guidance"],
        generator=torch.Generator().manual_seed(request["seed"]),
        output_type="pt",
    ).images
    return pixels.float().clamp(0, 1).mul(255).round().to(torch.int16)[0].permute(1, 2, 0)

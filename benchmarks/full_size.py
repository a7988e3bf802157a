"""The published models at their size with random weights, set up for stock diffusers and for us.

Each is made where and in what it is to run, so that it never lies in memory twice. Text is random states of the
right shape: reading a prompt is measured at tiny size, and is not what a picture's time goes into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch

from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.sampling.guidance import guided
from allaprima.paint.sampling.samplers import sample_steps

Named = tuple[str, Callable[[int], object], Callable[[int], object]]
"""What is done, by diffusers, by us."""

TOKENS = 64
"""Of the random prompt; the negative prompt has 16."""


def full_size_pairs(
    model: Literal["sdxl", "qwen"],
    device: torch.device,
    dtype: torch.dtype,
    sides: Sequence[int],
    *,
    compiled: bool,
) -> Iterator[Named]:
    """Yield one step without and with guidance, four steps to a picture, and the decoder, for each of `sides`.

    A side is the width and height in pixels.
    """
    return (_qwen if model == "qwen" else _sdxl)(device, dtype, sides, compiled=compiled)


def _qwen(
    device: torch.device, dtype: torch.dtype, sides: Sequence[int], *, compiled: bool
) -> Iterator[Named]:
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from tests.tiny_qwen import PUBLISHED

    from allaprima.paint.bases.qwen_image.base import QwenImageBase, unpack
    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder
    from allaprima.paint.bases.qwen_image.rotary import join_rotary
    from allaprima.paint.bases.qwen_image.text import PromptEncoder
    from allaprima.paint.sampling.flow_schedule import FlowSettings

    transformer = _random(QwenImageTransformer2DModel, device, dtype)
    video = _random(AutoencoderKLQwenImage, device, dtype)
    stock = QwenImagePipeline(
        transformer=transformer,
        vae=video,
        text_encoder=None,
        tokenizer=None,
        scheduler=FlowMatchEulerDiscreteScheduler(**PUBLISHED),
    )
    frames = _random(lambda: FrameAutoencoder.from_config(video.config), device, dtype)
    frames.load_state_dict(video.state_dict())
    settings = {key: value for key, value in PUBLISHED.items() if key != "num_train_timesteps"}
    base = QwenImageBase(
        transformer=transformer,
        autoencoder=frames.flatten(),
        text=PromptEncoder(encoder=None, tokenizer=None),  # type: ignore[arg-type]  # no prompt is read
        name="qwen",
        flow=FlowSettings(**settings),
    )
    swap = _Swap(transformer, join_rotary, compiled=compiled)
    width = transformer.config.joint_attention_dim
    states = torch.randn(2, TOKENS, width, device=device, dtype=dtype)
    short, every = 16, torch.ones(1, TOKENS, device=device, dtype=torch.long)

    def by_stock(side: int, steps: int, guidance: float, output: str) -> Callable[[int], object]:
        against = {
            "negative_prompt_embeds": states[1:, :short],
            "negative_prompt_embeds_mask": every[:, :short],
        }
        negative = against if guidance != 1.0 else {}

        def run(number: int) -> object:
            swap.to_stock()
            return stock(
                prompt_embeds=states[:1], prompt_embeds_mask=every, true_cfg_scale=guidance, width=side, height=side,
                num_inference_steps=steps, output_type=output, generator=_generator(number), **negative,
            )  # fmt: skip

        return run

    def by_us(side: int, steps: int, guidance: float, output: str) -> Callable[[int], object]:
        mask = torch.ones(1 if guidance == 1.0 else 2, TOKENS, device=device, dtype=torch.bool)
        mask[1:, short:] = False
        text = TextStates(states=states[: len(mask)], mask=mask)

        def run(number: int) -> object:
            swap.to_ours()
            return _paint(base, text, steps, guidance, side, number, decode=output != "latent")

        return run

    stock.set_progress_bar_config(disable=True)
    for side in sides:
        yield from _stages("qwen", side, by_stock, by_us)
        cells = side // base.stride
        latents = torch.randn(1, transformer.config.in_channels, cells, cells, device=device)
        unpacked = unpack(latents).to(dtype)[:, :, None]
        yield f"qwen at {side}, decode", partial(_decode, video, unpacked), partial(_ours, base, latents)


def _sdxl(
    device: torch.device, dtype: torch.dtype, sides: Sequence[int], *, compiled: bool
) -> Iterator[Named]:
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )

    from allaprima.paint.bases.sdxl.base import SdxlBase
    from allaprima.paint.bases.sdxl.published import AUTOENCODER, SCHEDULER, UNET
    from allaprima.paint.bases.sdxl.scheduling import read_scheduler

    unet = _random(lambda: UNet2DConditionModel(**UNET), device, dtype)
    vae = _random(lambda: AutoencoderKL(**{**AUTOENCODER, "force_upcast": False}), device, dtype)
    settings = {key: value for key, value in SCHEDULER.items() if key != "_class_name"}
    stock = StableDiffusionXLPipeline(
        unet=unet, vae=vae, text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None,
        scheduler=EulerDiscreteScheduler(**settings), add_watermarker=False,
    )  # fmt: skip
    base = SdxlBase(
        text=None,  # type: ignore[arg-type]  # no prompt is read
        unet=unet,
        autoencoder=vae,
        scheduler=read_scheduler(SCHEDULER),
        name="sdxl",
    )
    if compiled:
        unet.compile_repeated_blocks(fullgraph=True)
    states = torch.randn(2, 77, unet.config.cross_attention_dim, device=device, dtype=dtype)
    pooled = torch.randn(2, 1280, device=device, dtype=dtype)

    def by_stock(side: int, steps: int, guidance: float, output: str) -> Callable[[int], object]:
        negative = (
            {"negative_prompt_embeds": states[1:], "negative_pooled_prompt_embeds": pooled[1:]}
            if guidance != 1.0
            else {}
        )
        return lambda number: stock(
            prompt_embeds=states[:1], pooled_prompt_embeds=pooled[:1], guidance_scale=guidance, width=side,
            height=side, num_inference_steps=steps, output_type=output, generator=_generator(number), **negative,
        )  # fmt: skip

    def by_us(side: int, steps: int, guidance: float, output: str) -> Callable[[int], object]:
        rows = 1 if guidance == 1.0 else 2
        mask = torch.ones(rows, 77, device=device, dtype=torch.bool)
        text = TextStates(states=states[:rows], mask=mask, pooled=pooled[:rows])
        return lambda number: _paint(base, text, steps, guidance, side, number, decode=output != "latent")

    stock.set_progress_bar_config(disable=True)
    for side in sides:
        yield from _stages("sdxl", side, by_stock, by_us)
        cells = side // base.stride
        latents = torch.randn(1, unet.config.in_channels, cells, cells, device=device)
        yield (
            f"sdxl at {side}, decode",
            partial(_decode, vae, latents.to(dtype)),
            partial(_ours, base, latents),
        )


Make = Callable[[int, int, float, str], Callable[[int], object]]


# At a single step Qwen's scheduler divides by zero in diffusers; what comes of it takes the same time.
def _stages(name: str, side: int, by_stock: Make, by_us: Make) -> Iterator[Named]:
    for label, arguments in (
        ("one step", (1, 1.0, "latent")),
        ("one step with guidance", (1, 4.0, "latent")),
        ("picture of 4 steps", (4, 1.0, "pt")),
    ):
        yield f"{name} at {side}, {label}", by_stock(side, *arguments), by_us(side, *arguments)


def _decode(autoencoder: Any, cells: torch.Tensor, number: int) -> object:
    del number
    return autoencoder.decode(cells)


def _ours(base: Base, latents: torch.Tensor, number: int) -> object:
    del number
    return base.decode(latents)


class _Swap:
    """One transformer, now with diffusers' positions and attention, now with ours."""

    def __init__(self, transformer: Any, join: Callable[[Any], None], *, compiled: bool) -> None:
        self.transformer = transformer
        self.stock = transformer.pos_embed, dict(transformer.attn_processors)
        join(transformer)
        self.ours = transformer.pos_embed, dict(transformer.attn_processors)
        self.compiled = compiled

    def to_stock(self) -> None:
        """Paint as diffusers does, block by block."""
        self._set(self.stock, compiled=False)

    def to_ours(self) -> None:
        """Paint as we do."""
        self._set(self.ours, compiled=self.compiled)

    def _set(self, parts: tuple[Any, dict[str, Any]], *, compiled: bool) -> None:
        self.transformer.pos_embed = parts[0]
        self.transformer.set_attn_processor(dict(parts[1]))
        for block in self.transformer.transformer_blocks:
            if compiled and getattr(block, "quick", None) is None:
                block.compile(fullgraph=True)
                block.quick = block._compiled_call_impl
            block._compiled_call_impl = block.quick if compiled else None


def _random(make: Callable[[], Any], device: torch.device, dtype: torch.dtype) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        # Around networks alone: schedulers keep numbers for numpy, which reads no GPU's memory.
        with torch.device(device):
            return make().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def _paint(
    base: Base, text: TextStates, steps: int, guidance: float, side: int, seed: int, *, decode: bool
) -> torch.Tensor:
    latents = base.noise([seed + 10], side, side)
    schedule = base.schedule(steps, side, side)
    for step in sample_steps(guided(base, text, guidance), latents, schedule, base.prediction, [seed + 10]):
        latents = step.latents
    return base.decode(latents) if decode else latents


def _generator(number: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(number + 10)

"""Teachers of the real classes, too small to have learned anything, and material to go with them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import QwenImageTransformer2DModel, UNet2DConditionModel

from allaprima.lab.distill.data import DistillBatch, PromptTexts
from allaprima.lab.distill.network import Network
from allaprima.lab.distill.networks import MMDiT, UNet, Vignette
from allaprima.lab.training.loop import Draw
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.contract.base import TextStates
from allaprima.paint.sampling.process import Flow, VariancePreserving

SHAPES: dict[str, tuple[int, int, int]] = {
    "vignette": (4, 12, 12),
    "qwen-image": (16, 10, 10),
    "sdxl": (4, 16, 16),
}
TEXT_WIDTH = {"vignette": 8, "qwen-image": 8, "sdxl": 16}
FAMILIES = tuple(SHAPES)


def teacher(family: str, layers: int = 2) -> Network:
    """A fresh teacher, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return {"vignette": _vignette, "qwen-image": _qwen, "sdxl": _sdxl}[family](layers)


def _vignette(layers: int) -> Network:
    config = DenoiserConfig(
        latent_channels=4, layers=layers, heads=2, head_width=16, text_width=8, rope_axes=(4, 6, 6)
    )
    return Vignette(Denoiser(config).transformer, Flow(shift=2.0))


def _qwen(layers: int) -> Network:
    network = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=layers,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=8,
        axes_dims_rope=(4, 6, 6),
    )
    return MMDiT(network, Flow(shift=3.0), "rescaled")


def _sdxl(layers: int) -> Network:
    del layers
    network = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 8,
        cross_attention_dim=16,
    )
    return UNet(network, VariancePreserving())


def texts(family: str, count: int = 6) -> PromptTexts:
    """Prompts of one to four tokens, and an empty prompt that is not zero."""
    generator = torch.Generator().manual_seed(11)
    states = torch.randn(count + 1, 4, TEXT_WIDTH[family], generator=generator)
    mask = torch.arange(4)[None] < torch.tensor([1 + row % 4 for row in range(count)] + [1])[:, None]
    pooled = torch.randn(count + 1, 8, generator=generator) if family == "sdxl" else None
    if family == "sdxl":
        mask = torch.ones_like(mask)
    text = TextStates(states=states, mask=mask, pooled=pooled)
    return PromptTexts(text=text.rows(range(count)), nothing=text.rows([count]))


@dataclass(frozen=True)
class Pictures:
    """Smooth pictures, one for each prompt."""

    family: str

    def batch(self, draw: Draw) -> DistillBatch:
        """Prompts at random, with their pictures."""
        known = texts(self.family)
        index = (draw.uniform() * len(known)).long().tolist()
        return DistillBatch(
            noise=draw.normal(*SHAPES[self.family]),
            text=known.take(index),
            empty=known.empty(len(index)),
            clean=pictures(self.family)[index],
        )


def pictures(family: str, count: int = 6) -> torch.Tensor:
    """One colour each, with a slope."""
    channels, rows, columns = SHAPES[family]
    colours = torch.randn(count, channels, 1, 1, generator=torch.Generator().manual_seed(3))
    slope = torch.linspace(-1, 1, columns).expand(rows, columns)
    return colours + slope


def draw(step: int = 0, batch: int = 4) -> Draw:
    """One update's randomness."""
    return Draw(
        step=step, batch_size=batch, device=torch.device("cpu"), generator=torch.Generator().manual_seed(step)
    )

"""Teachers of the real classes, too small to have learned anything, and material to go with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import QwenImageTransformer2DModel, UNet2DConditionModel
from tests.tiny_vignette import CHANNELS, WIDTH, write_tiny_vignette
from torch import nn

from allaprima.lab.distill.data import (
    DistillBatch,
    PromptTexts,
)
from allaprima.lab.distill.discriminator import Discriminator, TeacherFeatures
from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.methods.add import AddTask, AdversarialModel
from allaprima.lab.distill.methods.dmd import DmdTask
from allaprima.lab.distill.methods.lcm import LcmTask
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.distill.methods.turbo import TurboTask
from allaprima.lab.distill.network import Network
from allaprima.lab.distill.networks import MMDiT, UNet, Vignette, base_hash
from allaprima.lab.distill.target_modules import (
    find_target_modules,
    uniform_ranks,
)
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.lab.distill.train import Outcome, distill
from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.loop import Draw, LoopConfig
from allaprima.paint.bases.vignette.base import load_vignette
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


FEATURE_WIDTHS = {"vignette": [32, 32], "qwen-image": [32, 32], "sdxl": [16, 32]}


CPU = torch.device("cpu")


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


def write_cache(folder: Path, scenes: int = 12) -> Path:
    """A latent cache of coloured scenes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 6, (scenes, CAPTIONS))
    starts = np.concatenate([[0], lengths.ravel().cumsum()[:-1]]).reshape(scenes, CAPTIONS)
    colours = rng.standard_normal((scenes, CHANNELS, 1, 1))
    np.save(folder / "latents.npy", np.broadcast_to(colours, (scenes, CHANNELS, 16, 16)).astype(np.float16))
    np.save(folder / "masks.npy", np.zeros((scenes, 16, 16), np.uint8))
    np.save(folder / "names.npy", np.zeros((scenes, len(GROUPS), 8, 8), np.int16))
    np.save(folder / "states.npy", rng.standard_normal((int(lengths.sum()), WIDTH)).astype(np.float16))
    np.save(folder / "spans.npy", np.stack([starts, lengths], -1))
    np.save(folder / "empty.npy", rng.standard_normal((2, WIDTH)).astype(np.float16))
    return folder


def set_up(folder: Path) -> TeacherSetup:
    """The tiny Vignette on the bench; `folder` holds it and a cache afterwards."""
    if not (folder / "cache").exists():
        write_tiny_vignette(folder / "weights")
        write_cache(folder / "cache")
    base = load_vignette(folder / "weights")
    return set_up_teacher(base, base_hash(base, folder / "weights"), caches=(folder / "cache",))


def run(
    folder: Path, name: str, updates: int, *, method: str = "turbo", resume: bool = False, **more: Any
) -> Outcome:
    """A short training in `folder / name`."""
    settings = METHODS[method](**{"guidance": 2.0, **more})
    config = LoopConfig(
        folder=folder / name, steps=updates, batch_size=4, learning_rate=2e-3, warmup_steps=1, save_every=2,
        sample_every=2, log_every=2, ema_decay=0.9,
    )  # fmt: skip
    return distill(set_up(folder), settings, config, resume=resume)


def make(method: str, family: str, *, whole: bool = False, **more: Any) -> tuple[nn.Module, Any]:
    """A model for the loop and its task."""
    network = teacher(family)
    ranks = None if whole else uniform_ranks(find_target_modules(network), 4)
    learners = {STUDENT: ranks, FAKE: ranks} if method == "dmd" else {STUDENT: ranks}
    student = Learners(network, learners)
    material = Pictures(family)
    settings: dict[str, Any] = {"material": material, "guidance": 2.0, **more}
    if method == "turbo":
        return student, TurboTask(learners=student, teacher_steps=8, **settings)
    if method == "lcm":
        return student, LcmTask(learners=student, **settings)
    if method == "dmd":
        return student, DmdTask(learners=student, **{"fake_updates": 2, **settings})
    text_width = 8 if family == "sdxl" else TEXT_WIDTH[family]
    duel = AdversarialModel(student, Discriminator(FEATURE_WIDTHS[family], text_width, hidden=16))
    return duel, AddTask(
        learners=student, discriminator=duel.heads, features=TeacherFeatures((0, 1)), **settings
    )


def short_training(folder: Path, steps: int, **more: Any) -> LoopConfig:
    """A short training."""
    settings: dict[str, Any] = {
        "batch_size": 4,
        "learning_rate": 4e-3,
        "warmup_steps": 2,
        "save_every": 3,
        **more,
    }
    return LoopConfig(folder=folder, steps=steps, **settings)


def touched(model: nn.Module) -> set[str]:
    """The parameters that have a gradient other than zero."""
    return {name for name, one in model.named_parameters() if one.grad is not None and bool(one.grad.any())}


def inputs(family: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and times for three prompts."""
    x = torch.randn(3, *SHAPES[family], generator=torch.Generator().manual_seed(2))
    return x, teacher(family).process.times(torch.tensor([0.9, 0.5, 0.2]))


def rows(text: TextStates) -> list[bytes]:
    """Each prompt's tokens, without what they are padded with."""
    return [states[mask].numpy().tobytes() for states, mask in zip(text.states, text.mask, strict=True)]

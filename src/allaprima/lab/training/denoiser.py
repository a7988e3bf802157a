"""Train Vignette's denoiser: flow matching on cached latents, weighted towards the subjects.

Flow matching (arXiv 2210.02747): x_t = (1 - t) x_0 + t eps, and the model predicts the velocity eps - x_0. Three
things bind the words to the picture early on a small budget: the squared error counts several times more where
a subject stands; high noise, where it is decided what is painted, is drawn more often; and a head on the middle
block names what every token shows (:mod:`allaprima.lab.training.alignment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from allaprima.lab.evaluation.painting import paint_prompts
from allaprima.lab.training.alignment import WORN, AlignedDenoiser, naming_error
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.loop import Draw, seed_of
from allaprima.lab.training.resident import NOTHING, Resident
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.base import SHIFT, VignetteBase
from allaprima.paint.bases.vignette.denoiser import PATCH, Denoiser
from allaprima.paint.bases.vignette.mmdit import Block
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.weights import load_autoencoder
from allaprima.paint.contract.schedule import flow_schedule, flow_sigmas
from allaprima.paint.device.precision import pick_device

BUCKET = 8
"""Batches drawn together and sorted by caption length, so that one batch pads little."""


@dataclass(frozen=True, kw_only=True)
class FlowTask:
    """One flow-matching loss over the scenes of one or more caches."""

    scenes: Resident
    subject_weight: float = 4.0
    """How many times more a latent cell counts that a subject covers wholly."""
    worn_weight: float = 1.0
    """How many times more again where that subject wears something, which is small and rare."""
    time_mean: float = 0.5
    time_deviation: float = 1.0
    """Times are sigmoid(mean + deviation * normal): logit-normal (arXiv 2403.03206, section 3.1)."""
    empty_share: float = 0.1
    """How often the caption is dropped, for guidance."""
    naming_weight: float = 0.5
    """Weight of the head's error, if the model is an :class:`AlignedDenoiser`; it is ignored for a bare one."""
    text_tokens: int | None = None
    """Captions are cut or padded to so many, which a compiled model wants; None pads to a batch's longest."""
    text_multiple: int = 1
    """Without `text_tokens`, batches are padded to a multiple of so many: a compiled model then meets few lengths."""
    layouts: ResidentLayouts | None = None
    seed: int = 0
    preview: Preview | None = None

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the weighted squared error of the velocity; `plain` is the unweighted one."""
        scenes, captions = self._chosen(draw)
        longest = int(self.scenes.lengths[scenes, captions].max())
        length = self.text_tokens or -(-longest // self.text_multiple) * self.text_multiple
        rows = self.scenes.rows(scenes, captions, length)
        normal = torch.randn(len(scenes), generator=draw.generator)
        t = torch.sigmoid(self.time_mean + self.time_deviation * normal).to(draw.device, non_blocking=True)
        noise = draw.noise(*rows.clean.shape[1:])
        at = t[:, None, None, None]
        noisy, velocity = (1 - at) * rows.clean + at * noise, noise - rows.clean
        layout = None if self.layouts is None else self.layouts.draw_some(scenes, draw)
        output = model(noisy, t, rows.states, rows.mask, layout)
        predicted, logits = output if isinstance(output, tuple) else (output, None)
        error = (predicted.float() - velocity).square()
        weight = 1.0 + (self.subject_weight - 1.0) * rows.covered[:, None]
        if self.worn_weight != 1.0:
            weight = weight * torch.where(_wears(rows.names), self.worn_weight, 1.0)
        flow = (error * weight).mean() / weight.mean()
        values = {"loss": flow, "flow": flow.detach(), "plain": error.mean().detach()}
        if logits is not None:
            values["naming"], values["named"] = naming_error(logits, rows.names)
            values["loss"] = flow + self.naming_weight * values["naming"]
        return values

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write the preview's grid, if there is one."""
        if self.preview is not None:
            model = model.denoiser if isinstance(model, AlignedDenoiser) else model
            assert isinstance(model, Denoiser)
            Image.fromarray(self.preview.grid(model)).save(folder / f"sample-{step:07d}.png")

    def _chosen(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Draw scenes and captions of this process's rows, (B,) each; captions of like length stand together."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, draw.step // BUCKET))
        pool = torch.rand((BUCKET * draw.batch_size, 3), generator=generator, dtype=torch.float64)
        scenes = (pool[:, 0] * len(self.scenes)).long()
        captions = torch.where(pool[:, 2] < self.empty_share, NOTHING, (pool[:, 1] * CAPTIONS).long())
        order = self.scenes.lengths[scenes, captions].argsort(stable=True)
        batches = torch.randperm(BUCKET, generator=generator)
        start = int(batches[draw.step % BUCKET]) * draw.batch_size
        mine = order[start : start + draw.batch_size][draw.rows]
        return scenes[mine], captions[mine]


def _wears(names: Tensor) -> Tensor:
    """Return which latent cells show a subject that wears something, (B, 1, 16, 16), by `names` (B, groups, 8, 8)."""
    worn = names[:, WORN : WORN + 1] > 0
    return worn.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)


def compile_for_training(model: Denoiser, backend: str = "inductor", *, products: bool = False) -> None:
    """Compile the blocks, all of which share one graph, anew for each size of batch and length of captions.

    Their forward methods, not the modules: what hooks do to a block's output stays outside of the graph.
    With `products`, attention is two products with a softmax between them. While tokens are few, that takes a
    processor a fraction of the time of torch's attention and its gradients.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)  # a few lengths
    for block in model.transformer.transformer_blocks:
        assert isinstance(block, Block)
        if products:
            block.attn.attend = attend_by_products  # type: ignore[method-assign]
        block.forward = torch.compile(block.forward, dynamic=False, backend=backend)  # type: ignore[method-assign]


def attend_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Compute attention with all scores in memory; see `JointAttention.attend`."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    attended: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return attended


PROMPTS = (
    "a cat on a rooftop at sunset",
    "a dog on the beach",
    "a red car in the city at night",
    "a lion in a forest",
    "two balloons in the park",
    "a penguin in the snow, dawn",
    "a person with glasses on a stage",
    "a fox wearing a crown in the desert",
    "a cactus and a robot on the moon",
    "a castle in the mountains in the fog",
    "一只猫在海滩上，日落",
    "a rocket",
)
"""What a training's sample grids show."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Fixed prompts from fixed noise, to watch a training by; painted as Vignette paints them."""

    text: TextEncoder
    autoencoder: Autoencoder
    prompts: tuple[str, ...] = PROMPTS
    steps: int = 16
    guidance: float = 4.0
    shift: float = SHIFT
    columns: int = 6

    def grid(self, model: Denoiser) -> NDArray[np.uint8]:
        """Return the prompts' pictures side by side, (rows 256, columns 256, 3) uint8."""
        base = VignetteBase(text=self.text, denoiser=model, autoencoder=self.autoencoder)
        schedule = flow_schedule(flow_sigmas(self.steps, self.shift))
        count = len(self.prompts)
        pixels = paint_prompts(base, self.prompts, range(count), schedule, self.guidance)
        pictures = pixels.nan_to_num().mul(255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        side = pictures.shape[1]
        rows = -(-count // self.columns)
        canvas = np.zeros((rows * self.columns, side, side, 3), np.uint8)
        canvas[:count] = pictures
        grid = canvas.reshape(rows, self.columns, side, side, 3).transpose(0, 2, 1, 3, 4)
        return grid.reshape(rows * side, self.columns * side, 3)


def preview_of(weights: Path) -> Preview:
    """Return a preview of :data:`PROMPTS` with the autoencoder and text encoder in the folder `weights`."""
    device = pick_device()
    text = TextEncoder.from_file(weights / "text.safetensors").to(device)
    autoencoder = load_autoencoder(weights / "autoencoder.safetensors", device, torch.float32)
    return Preview(text=text, autoencoder=autoencoder)

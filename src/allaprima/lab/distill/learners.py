"""A frozen teacher and those who learn from it, in one module: LoRAs on the teacher, or whole copies of it.

    learners = Learners(network, {STUDENT: ranks, FAKE: ranks})   # two LoRAs on one frozen network
    learners.predict(x, t, text, FAKE)

LoRAs come from peft, on diffusers' module names. A fresh one changes nothing, since its second matrix is zero. What
learns is float32, whatever the frozen weights are: steps of 1e-5 would be rounded away in bf16.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allaprima.lab.distill.network import Network
from allaprima.paint.contract.base import TextStates
from allaprima.paint.pipeline.prompt_cache import join_prompts
from allaprima.paint.sampling.process import TrainingProcess

TEACHER = "teacher"
STUDENT = "student"
FAKE = "fake"

LayerRanks = Mapping[str, int]
"""Module path to the rank of the LoRA there."""


class GuidanceEmbedding(nn.Module):
    """Tells a student how strong a guidance to imitate (Luo et al. 2023, arXiv:2310.04378, section 4.2).

    Zero at first, so that the student begins as the teacher.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(256, width, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, guidance: Tensor) -> Tensor:
        """Return what to add to the time's embedding, (B, width), for guidance scales (B,)."""
        added: Tensor = self.project(get_timestep_embedding(guidance * 1000, 256))
        return added


class Learners(nn.Module):
    """A teacher and its learners; parameters of the teacher want no gradient."""

    def __init__(
        self,
        network: Network,
        learners: Mapping[str, LayerRanks | None],
        *,
        guidance_width: int = 0,
        seed: int = 0,
    ) -> None:
        """Freeze `network` and put the learners on it.

        Args:
            network: the teacher; LoRAs are put into it.
            learners: a name for each, and its LoRA's ranks; None for a whole copy of the network.
            guidance_width: width of the time's embedding if the student is to be told the guidance, or 0.
            seed: of the LoRAs' first matrices.
        """
        super().__init__()
        network.requires_grad_(False).eval()
        whole = [name for name, ranks in learners.items() if ranks is None]
        self.wholes = nn.ModuleDict({name: deepcopy(network).float().requires_grad_(True) for name in whole})
        self.network = network
        self.ranks = {name: dict(ranks) for name, ranks in learners.items() if ranks is not None}
        self.guidance = GuidanceEmbedding(guidance_width) if guidance_width else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, ranks in self.ranks.items():
                _inject(network.network, name, ranks)
        self.layers = [module for module in network.modules() if isinstance(module, LoraLayer)]
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(".lora_" in name)
        self._active = TEACHER
        for wrapped in (network, *self.wholes.values()):
            if isinstance(wrapped.network, ModelMixin):
                wrapped.network.enable_gradient_checkpointing(self._run_block)

    @property
    def process(self) -> TrainingProcess:
        """How the teacher mixes picture and noise."""
        return self.network.process

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    def of(self, name: str) -> Network:
        """Return the network of one learner, ready to be called."""
        if name in self.wholes:
            whole = self.wholes[name]
            assert isinstance(whole, Network)
            return whole
        if name != TEACHER and name not in self.ranks:
            known = ", ".join([TEACHER, *self.ranks, *self.wholes])
            raise ValueError(f"got the learner {name!r}; expected one of {known}")
        for layer in self.layers:
            # Not peft's own setters: they also switch gradients on and off, and one loss sees several learners.
            layer._active_adapter = [name]
            layer._disable_adapters = name == TEACHER
        self._active = name
        return self.network

    def _run_block(self, block: nn.Module, *inputs: Any) -> Any:
        """Run a block and keep what went in alone; its inside is computed again when gradients pass.

        Networks of diffusers call this. At 1024 x 1024 the insides of Qwen-Image's blocks are 46 GB, what enters 1.5.
        By the time gradients pass, others are active on the same network, so the one of now must be activated again.
        """
        name = self._active
        return checkpoint(
            block, *inputs, use_reentrant=False, preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), self._activated(name)),
        )  # fmt: skip

    @contextmanager
    def _activated(self, name: str) -> Iterator[None]:
        """Make the network that of `name` for a while."""
        before = self._active
        self.of(name)
        try:
            yield
        finally:
            self.of(before)

    def predict(
        self, x: Tensor, t: Tensor, text: TextStates, name: str = STUDENT, guidance: Tensor | None = None
    ) -> Tensor:
        """Return one learner's prediction, in float32.

        Args:
            name: which learner.
            guidance: (B,) the guidance to imitate, for students that were built to be told it.
        """
        network = self.of(name)
        if guidance is not None and self.guidance is None:
            raise ValueError("got a guidance for a student that is not told it; expected guidance_width > 0")
        offset = None if guidance is None or self.guidance is None else self.guidance(guidance)
        with network.added_to_time(offset):
            predicted: Tensor = network(x, t, text)
        return predicted.float()

    @torch.no_grad()
    def guided(
        self, x: Tensor, t: Tensor, text: TextStates, empty: TextStates, guidance: float | Tensor
    ) -> Tensor:
        """Return the teacher's prediction under classifier-free guidance, without gradient.

        Args:
            empty: B times the empty prompt, encoded like any other: zeros are not what the teacher learned.
            guidance: the scale, one for all or (B,); 1 asks the teacher once, with the prompt alone.
        """
        network = self.of(TEACHER)
        if not isinstance(guidance, Tensor) and guidance == 1.0:
            alone: Tensor = network(x, t, text)
            return alone.float()
        # What is led away from stands in the same place.
        prompts = join_prompts([text, replace(empty, layout=text.layout)])
        both: Tensor = network(torch.cat([x, x]), torch.cat([t, t]), prompts)
        conditioned, unconditioned = both.float().chunk(2)
        scale: Any = guidance[:, None, None, None] if isinstance(guidance, Tensor) else guidance
        return network.combine(conditioned, unconditioned, scale)

    def learned(self, name: str = STUDENT) -> tuple[nn.Parameter, ...]:
        """Return what moves when a learner learns."""
        if name in self.wholes:
            parameters = list(self.wholes[name].parameters())
        else:
            marks = (f".lora_A.{name}.", f".lora_B.{name}.")
            named = self.network.named_parameters()
            parameters = [one for path, one in named if any(mark in path for mark in marks)]
        if name == STUDENT and self.guidance is not None:
            parameters += self.guidance.parameters()
        return tuple(parameters)

    def lora_parameters(self, name: str = STUDENT) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
        """Return a LoRA's two matrices by module path, as they learn."""
        parameters = {}
        for path in self.ranks[name]:
            layer = self.network.network.get_submodule(path)
            assert isinstance(layer, LoraLayer)
            down, up = (matrix[name].get_parameter("weight") for matrix in (layer.lora_A, layer.lora_B))
            parameters[path] = down, up
        return parameters


def _inject(network: nn.Module, name: str, ranks: LayerRanks) -> None:
    """Put a LoRA of these ranks into a network of diffusers."""
    if not ranks:
        return
    pattern = {f"^{path}$": rank for path, rank in ranks.items()}
    config = LoraConfig(
        r=1, lora_alpha=1, target_modules=list(ranks), rank_pattern=pattern, alpha_pattern=pattern
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # two on one network are meant
        inject_adapter_in_model(config, network, name)
    for path, parameter in network.named_parameters():
        if f".{name}." in path and ".lora_" in path:
            parameter.data = parameter.data.float()  # peft's are in the dtype of the layer they sit on

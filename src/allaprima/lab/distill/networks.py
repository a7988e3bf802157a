"""Networks of three families behind one call: `network(latents, t, text)`.

    teacher = Vignette(denoiser.transformer, Flow(shift=2.0))
    teacher = MMDiT(pipeline.transformer, Flow(shift=3.0), "rescaled")      # Qwen-Image
    teacher = UNet(pipeline.unet, VariancePreserving())                     # SDXL

They wrap the painting networks themselves, whose module names a LoRA file uses, and let gradients through.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from allaprima.paint.bases.dtypes import dtype_of
from allaprima.paint.bases.vignette.denoiser import PATCH, pack, unpack
from allaprima.paint.contract.base import GuidanceRule, TextStates
from allaprima.paint.sampling.guidance import RULES
from allaprima.paint.sampling.process import Process


class Network(nn.Module, ABC):
    """One of diffusers' networks with its process."""

    root: str
    """What `Base.modules()` and LoRA files call it."""

    def __init__(self, network: nn.Module, process: Process, rule: GuidanceRule = "plain") -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.rule: GuidanceRule = rule
        self._rows: slice | list[int] = slice(None)
        """Of a batch, those that are going through the network."""

    def forward(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """The network's answer at (latents, t), shaped like the latents, in their dtype.

        Who asks works in float32, whatever the frozen weights are: it need not be under autocast.
        """
        dtype = dtype_of(self.network)
        pooled = None if text.pooled is None else text.pooled.to(dtype)
        narrow = replace(text, states=text.states.to(dtype), pooled=pooled)
        return self.answer(latents.to(dtype), t, narrow).to(latents.dtype)

    @abstractmethod
    def answer(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """What :meth:`forward` returns, all in the network's own dtype but the times."""

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The blocks whose outputs :meth:`features` can return, from first to last."""

    @property
    @abstractmethod
    def time_embedder(self) -> nn.Module:
        """The module that returns what every block knows of the time, (B, D)."""

    @abstractmethod
    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """What a block returned, as a map (B, D, rows, columns)."""

    def combine(self, conditioned: Tensor, unconditioned: Tensor, guidance: float) -> Tensor:
        """Classifier-free guidance by the family's rule."""
        return RULES[self.rule](conditioned, unconditioned, guidance)

    def features(self, latents: Tensor, t: Tensor, text: TextStates, depths: Sequence[int]) -> list[Tensor]:
        """The outputs of the blocks at `depths` as maps (B, D, rows, columns)."""
        kept: dict[int, Tensor] = {}

        def keep(depth: int) -> Any:
            def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
                kept[depth] = self.to_map(output, latents)

            return hook

        handles = [self.blocks[depth].register_forward_hook(keep(depth)) for depth in depths]
        try:
            self(latents, t, text)
        finally:
            for handle in handles:
                handle.remove()
        return [kept[depth] for depth in depths]

    @contextmanager
    def told(self, addition: Tensor | None) -> Iterator[None]:
        """Within, `addition` (B, D) is added to what the blocks know of the time."""
        if addition is None:
            yield
            return

        def add(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            return output + addition[self._rows].to(output.dtype)

        handle = self.time_embedder.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()


class Vignette(Network):
    """Vignette's own transformer: predicts velocities."""

    root = "transformer"
    patch: int = PATCH
    """Latent cells along one side of a token."""

    def answer(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """The velocity for latents (B, C, h, w) at times in [0, 1]; h and w even."""
        height, width = latents.shape[-2:]
        mask = None if bool(text.mask.all()) else text.mask
        tokens: Tensor = self.network(pack(latents), text.states, mask, t, self._tokens(latents))
        return unpack(tokens, height, width)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer's blocks."""
        return list(self.network.get_submodule("transformer_blocks").children())

    @property
    def time_embedder(self) -> nn.Module:
        """What its modulations are made from."""
        return self.network.get_submodule("time_text_embed")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """The picture's tokens; the text's are the first of the pair."""
        tokens: Tensor = output[1]
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self._tokens(latents))

    def _tokens(self, latents: Tensor) -> tuple[int, int]:
        """Rows and columns of the tokens."""
        return latents.shape[-2] // self.patch, latents.shape[-1] // self.patch


class MMDiT(Vignette):
    """`QwenImageTransformer2DModel`, of any size: predicts velocities.

    Latents come as the base hands them out: packed, (B, 64, rows, columns) with a token to a cell. Prompts go through
    one length after the other, as they do in painting: the base's attention knows no mask.
    """

    patch = 1

    def answer(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """The velocity for packed latents at times in [0, 1]."""
        groups = _rows_by_length(text)
        answers = []
        for rows in groups:
            self._rows = rows
            states = text.states[rows, : text.lengths[rows[0]]]
            answers.append(self._velocity(latents[rows], t[rows], states))
        return _in_order(answers, groups)

    def features(self, latents: Tensor, t: Tensor, text: TextStates, depths: Sequence[int]) -> list[Tensor]:
        """As `Network.features`."""
        groups = _rows_by_length(text)
        # Group by group, for a block is called once for each.
        parts = [Vignette.features(self, latents[rows], t[rows], text.rows(rows), depths) for rows in groups]
        return [_in_order(maps, groups) for maps in zip(*parts, strict=True)]

    def _velocity(self, latents: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """The answer to prompts of one length."""
        tokens: Tensor = self.network(
            hidden_states=latents.flatten(2).transpose(1, 2),
            encoder_hidden_states=states,
            timestep=t,
            img_shapes=[(1, *self._tokens(latents))],
            return_dict=False,
        )[0]
        return tokens.transpose(1, 2).reshape(latents.shape)


class UNet(Network):
    """`UNet2DConditionModel` as in SDXL: predicts noise, is told sizes and a pooled text vector."""

    root = "unet"
    stride: int = 8
    """Pixels along one side of a latent cell."""

    def answer(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """The noise in latents (B, C, h, w) at times 0 to 999."""
        height, width = (self.stride * side for side in latents.shape[-2:])
        sizes = t.new_tensor([height, width, 0, 0, height, width]).expand(len(latents), -1)
        added = None if text.pooled is None else {"text_embeds": text.pooled, "time_ids": sizes}
        answer: Tensor = self.network(
            latents, t, encoder_hidden_states=text.states, added_cond_kwargs=added, return_dict=False
        )[0]
        return answer

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The way down and the middle."""
        return [
            *self.network.get_submodule("down_blocks").children(),
            self.network.get_submodule("mid_block"),
        ]

    @property
    def time_embedder(self) -> nn.Module:
        """The embedding of the time, before that of text and sizes is added."""
        return self.network.get_submodule("time_embedding")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """A block on the way down also returns what it hands across."""
        del latents
        found: Tensor = output[0] if isinstance(output, tuple) else output
        return found


def join(*parts: TextStates) -> TextStates:
    """The rows of all, padded to one length."""
    length = max(part.states.shape[1] for part in parts)

    def padded(tensor: Tensor) -> Tensor:
        missing = length - tensor.shape[1]
        return nn.functional.pad(tensor, (0, 0, 0, missing) if tensor.ndim == 3 else (0, missing))

    pooled = [part.pooled for part in parts if part.pooled is not None]
    return TextStates(
        states=torch.cat([padded(part.states) for part in parts]),
        mask=torch.cat([padded(part.mask) for part in parts]),
        pooled=torch.cat(pooled) if len(pooled) == len(parts) else None,
    )


def to_device(text: TextStates, device: torch.device) -> TextStates:
    """The same text on another device."""
    pooled = None if text.pooled is None else text.pooled.to(device)
    return TextStates(states=text.states.to(device), mask=text.mask.to(device), pooled=pooled)


def _rows_by_length(text: TextStates) -> list[list[int]]:
    """The numbers of the prompts, those of one length together."""
    groups: dict[int, list[int]] = {}
    for row, length in enumerate(text.lengths):
        groups.setdefault(length, []).append(row)
    return list(groups.values())


def _in_order(parts: Sequence[Tensor], groups: Sequence[Sequence[int]]) -> Tensor:
    """One tensor of what was computed group by group, in the order of the prompts."""
    order = [row for rows in groups for row in rows]
    return torch.cat(list(parts))[sorted(range(len(order)), key=order.__getitem__)]

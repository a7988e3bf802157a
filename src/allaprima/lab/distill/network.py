"""One network behind one call, `network(latents, t, text)`, whatever its family."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from allaprima.paint.bases.dtypes import dtype_of
from allaprima.paint.contract.base import Base, GuidanceRule, TextStates
from allaprima.paint.sampling.guidance import RULES
from allaprima.paint.sampling.process import TrainingProcess

Decode = Callable[[Tensor], Tensor]
"""Latents (B, C, h, w) to pixels (B, 3, H, W)."""


class Network(nn.Module, ABC):
    """A base's network with the process it was trained on."""

    root: str
    """What `Base.modules()` and LoRA files call it."""
    is_small: bool = False
    """Whether it is computed in float32 on every device."""

    def __init__(
        self, network: nn.Module, process: TrainingProcess, guidance_rule: GuidanceRule = "plain"
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.guidance_rule: GuidanceRule = guidance_rule
        self._rows: slice | list[int] = slice(None)
        """Of a batch, those that are going through the network."""

    @classmethod
    @abstractmethod
    def of_base(cls, base: Base) -> Self:
        """Return the network of a loaded base.

        Raises:
            UserError: no method can learn from what this model predicts.
        """

    @classmethod
    def decoder(cls, base: Base) -> Decode:
        """Return what turns latents into pixels in [0, 1]."""
        # One after the other: a picture of 1024 x 1024 takes GBs to decode, and a validation shows a dozen.
        return lambda latents: torch.cat([base.decode(row) for row in torch.split(latents, 1)])

    @classmethod
    def raw_decoder(cls, base: Base) -> Decode:
        """Return `decoder` with gradients, which pass where pixels are in [0, 1]."""
        return base.decode

    @classmethod
    def weights_hash(cls, base: Base, folder: Path | None) -> str:
        """Return the SHA-256 of the names, shapes and first 64 numbers of the base's tensors.

        Args:
            folder: of its weights; None for those that ship.
        """
        del folder
        digest = hashlib.sha256()
        for name, module in sorted(base.modules().items()):
            for path, tensor in sorted(module.state_dict().items()):
                digest.update(f"{name}.{path} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().flatten()[:64].float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def forward(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the prediction at (latents, t), shaped like the latents, in their dtype.

        Who asks works in float32, whatever the frozen weights are: it need not be under autocast.
        """
        dtype = dtype_of(self.network)
        pooled = None if text.pooled is None else text.pooled.to(dtype)
        layout = None if text.layout is None else text.layout.to(dtype)
        narrow = replace(text, states=text.states.to(dtype), pooled=pooled, layout=layout)
        return self.predict(latents.to(dtype), t, narrow).to(latents.dtype)

    @abstractmethod
    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the prediction, all in the network's own dtype but the times."""

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
        """Return a block's output as a map (B, D, rows, columns)."""

    def combine(self, conditioned: Tensor, unconditioned: Tensor, guidance: float) -> Tensor:
        """Return the prediction under classifier-free guidance by the family's rule."""
        return RULES[self.guidance_rule](conditioned, unconditioned, guidance)

    def features(self, latents: Tensor, t: Tensor, text: TextStates, depths: Sequence[int]) -> list[Tensor]:
        """Return the outputs of the blocks at `depths` as maps (B, D, rows, columns)."""
        maps: dict[int, Tensor] = {}

        def keep(depth: int) -> Any:
            def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
                maps[depth] = self.to_map(output, latents)

            return hook

        handles = [self.blocks[depth].register_forward_hook(keep(depth)) for depth in depths]
        try:
            self(latents, t, text)
        finally:
            for handle in handles:
                handle.remove()
        return [maps[depth] for depth in depths]

    @contextmanager
    def added_to_time(self, offset: Tensor | None) -> Iterator[None]:
        """Add `offset` (B, D), for a while, to what the blocks know of the time."""
        if offset is None:
            yield
            return

        def add(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            return output + offset[self._rows].to(output.dtype)

        handle = self.time_embedder.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

"""A base without a memory plan: its networks stay where they were loaded, and do all the work themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.layout import PaintedLayout
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Stage


class Decodes(Protocol):
    """What has one decoder."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pixels for clean latents."""


class ResidentBase:
    """The answers that suit a base whose networks stay on their device, which has one decoder and reads words alone.

    See :class:`allaprima.paint.contract.base.Base` for what is asked.
    """

    @property
    def is_resident(self) -> bool:
        """Always True."""
        return True

    @property
    def has_coarse_decoder(self) -> bool:
        """False: there is one decoder."""
        return False

    def decode_coarse(self: Decodes, latents: torch.Tensor) -> torch.Tensor:
        """Return what `decode` does."""
        return self.decode(latents)

    @property
    def reads_layout(self) -> bool:
        """False: it is told nothing but words."""
        return False

    def draw_layouts(self, layouts: Sequence[PaintedLayout], width: int, height: int) -> torch.Tensor:  # noqa: ARG002
        """Raise RuntimeError: there is nothing that reads a map."""
        raise RuntimeError("this base reads no layouts; expected `reads_layout` to be asked first")

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: every word is read as it stands."""
        return ()

    def fit_memory(self, width: int, height: int, before_move: Callable[[], object]) -> None:
        """Change nothing: no picture is planned for."""

    def use_next_plan(self, before_move: Callable[[], object]) -> bool:  # noqa: ARG002
        """Return False: there is no plan that takes less."""
        return False

    def shortage(self, width: int, height: int) -> OutOfMemoryError:  # noqa: ARG002
        """Return an error that names no plan."""
        return OutOfMemoryError(
            "memory ran out; expected room for it: end other programs, or paint a smaller picture"
        )

    def sketch(self, pixels: torch.Tensor) -> torch.Tensor | None:  # noqa: ARG002
        """Return None: pictures are encoded."""
        return None

    def prepacked_bytes(self, *, mapped: bool) -> Mapping[Stage, int]:  # noqa: ARG002
        """Return nothing: no weights are copied for the CPU's kernels."""
        return {}

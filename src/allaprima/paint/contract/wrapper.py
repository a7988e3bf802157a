"""A base that wraps another and forwards what its subclass does not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.base import Base, GuidanceRule, Prediction, Stage
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.contract.traits import BaseTraits


class BaseWrapper:
    """Everything in the contract but the four methods in which a network computes.

    See :class:`allaprima.paint.contract.base.Base`.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    @property
    def name(self) -> str:
        """That of the base."""
        return self._base.name

    @property
    def family(self) -> str:
        """That of the base."""
        return self._base.family

    @property
    def traits(self) -> BaseTraits:
        """That of the base."""
        return self._base.traits

    @property
    def prediction(self) -> Prediction:
        """That of the base."""
        return self._base.prediction

    @property
    def guidance_rule(self) -> GuidanceRule:
        """That of the base."""
        return self._base.guidance_rule

    @property
    def defaults(self) -> RequestDefaults:
        """That of the base."""
        return self._base.defaults

    @property
    def stride(self) -> int:
        """That of the base."""
        return self._base.stride

    @property
    def text_widths(self) -> tuple[int, int | None]:
        """That of the base."""
        return self._base.text_widths

    @property
    def is_resident(self) -> bool:
        """That of the base."""
        return self._base.is_resident

    def check_size(self, width: int, height: int) -> None:
        """Forward to the base."""
        self._base.check_size(width, height)

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Forward to the base."""
        return self._base.schedule(steps, width, height, name)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """Forward to the base."""
        return self._base.noise(seeds, width, height)

    def modules(self) -> Mapping[str, nn.Module]:
        """Forward to the base."""
        return self._base.modules()

    def stages(self) -> Mapping[Stage, tuple[nn.Module, ...]]:
        """Forward to the base."""
        return self._base.stages()

    def prepacked_bytes(self, *, mapped: bool) -> Mapping[Stage, int]:
        """Forward to the base."""
        return self._base.prepacked_bytes(mapped=mapped)

    def fit_memory(self, width: int, height: int, before_move: Callable[[], object]) -> None:
        """Forward to the base."""
        self._base.fit_memory(width, height, before_move)

    def use_next_plan(self, before_move: Callable[[], object]) -> bool:
        """Forward to the base."""
        return self._base.use_next_plan(before_move)

    def shortage(self, width: int, height: int) -> OutOfMemoryError:
        """Forward to the base."""
        return self._base.shortage(width, height)

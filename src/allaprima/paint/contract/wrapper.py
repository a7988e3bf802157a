"""A base that stands for another: what a subclass does not do otherwise is handed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.base import Base, GuidanceRule, Prediction, Stage
from allaprima.paint.contract.schedule import Schedule


class BaseWrapper:
    """The part of the contract in which no network computes; see :class:`allaprima.paint.contract.base.Base`.

    Args:
        base: what it stands for.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    @property
    def name(self) -> str:
        """As the base."""
        return self._base.name

    @property
    def family(self) -> str:
        """As the base."""
        return self._base.family

    @property
    def prediction(self) -> Prediction:
        """As the base."""
        return self._base.prediction

    @property
    def guidance_rule(self) -> GuidanceRule:
        """As the base."""
        return self._base.guidance_rule

    @property
    def defaults(self) -> RequestDefaults:
        """As the base."""
        return self._base.defaults

    def check_size(self, width: int, height: int) -> None:
        """As the base."""
        self._base.check_size(width, height)

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """As the base."""
        return self._base.schedule(steps, width, height, name)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """As the base."""
        return self._base.noise(seeds, width, height)

    def modules(self) -> Mapping[str, nn.Module]:
        """As the base."""
        return self._base.modules()

    def stages(self) -> Mapping[Stage, tuple[nn.Module, ...]]:
        """As the base."""
        return self._base.stages()

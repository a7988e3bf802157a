"""A base that wraps another and forwards what its subclass does not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from allaprima.paint.contract.base import Base

Member = TypeVar("Member")


class Forwarded(Generic[Member]):
    """A member of a wrapper that is its base's."""

    def __init__(self, read: Callable[[Base], Member]) -> None:
        self._read = read

    def __get__(self, wrapper: BaseWrapper, owner: type | None = None) -> Member:
        """Return the member of the wrapped base."""
        return self._read(wrapper._base)


class BaseWrapper:
    """Everything in the contract but the five methods in which a network computes.

    See :class:`allaprima.paint.contract.base.Base`.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    @property
    def is_resident(self) -> bool:
        """That of the base."""
        return self._base.is_resident

    name = Forwarded(lambda base: base.name)
    family = Forwarded(lambda base: base.family)
    traits = Forwarded(lambda base: base.traits)
    prediction = Forwarded(lambda base: base.prediction)
    guidance_rule = Forwarded(lambda base: base.guidance_rule)
    defaults = Forwarded(lambda base: base.defaults)
    stride = Forwarded(lambda base: base.stride)
    has_coarse_decoder = Forwarded(lambda base: base.has_coarse_decoder)
    reads_mask = Forwarded(lambda base: base.reads_mask)
    reads_layout = Forwarded(lambda base: base.reads_layout)
    draw_layouts = Forwarded(lambda base: base.draw_layouts)
    text_widths = Forwarded(lambda base: base.text_widths)
    check_size = Forwarded(lambda base: base.check_size)
    remarks = Forwarded(lambda base: base.remarks)
    schedule = Forwarded(lambda base: base.schedule)
    noise = Forwarded(lambda base: base.noise)
    sketch = Forwarded(lambda base: base.sketch)
    latent_mask = Forwarded(lambda base: base.latent_mask)
    modules = Forwarded(lambda base: base.modules)
    stages = Forwarded(lambda base: base.stages)
    prepacked_bytes = Forwarded(lambda base: base.prepacked_bytes)
    fit_memory = Forwarded(lambda base: base.fit_memory)
    use_next_plan = Forwarded(lambda base: base.use_next_plan)
    shortage = Forwarded(lambda base: base.shortage)

"""What a painter reports, as a closed set of plain records.

Started, then one Step per step, then Finished, once for every pass through the model. A painter raises its errors and
is cancelled by closing the iterator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Started:
    """A pass began; its requests differ in nothing but their seeds."""

    requests: tuple[GenerationRequest, ...]
    remarks: tuple[str, ...] = ()
    """As each of its pictures will have them, see `Picture.remarks`."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The sampler took a step."""

    index: int
    """1 for the first step, `total` for the last."""
    total: int
    """Steps in this pass."""
    previews: tuple[Picture, ...] = ()
    """What each picture of the pass would be if it ended here; empty unless asked for."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The pass is done."""

    pictures: tuple[Picture, ...]
    """One per request of the pass, in order."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by stage: text, denoise, decode."""


Event = Started | Step | Finished

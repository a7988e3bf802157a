"""Work on a picture, piece by piece, and the workshop in which it is done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from PIL import Image

from allaprima.core.events import Event
from allaprima.core.init_image import InitImage
from allaprima.core.lru import LruCache
from allaprima.core.request import GenerationRequest
from allaprima.paint.device.precision import pick_device, pick_dtype

T = TypeVar("T")
MOST_KEPT = 4

Work = Generator[float, None, Image.Image]
"""Work under way: yields the share that is done, 0 to 1, and returns the picture. Closing it cancels the work."""


@dataclass(frozen=True, kw_only=True)
class PlacePainter:
    """Who paints places for new backgrounds."""

    paint: Callable[[str, int], Image.Image]
    """Takes a prompt and a seed and gives an RGB picture."""
    prompt: str = "{}"
    """How the words for a place (`{}`) are put; see `BaseTraits.place_prompt`."""


class PaintsOver(Protocol):
    """A base with all that painting takes, such as a `Painter`."""

    def events(self, *requests: GenerationRequest, init_image: InitImage | None = None) -> Iterator[Event]:
        """Paint requests, over a picture, reporting each step."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where the work is done, and what was loaded for it."""

    device: torch.device = field(default_factory=pick_device)
    models_dirs: Sequence[Path] = ()
    """Folders in which weight files of the user's lie, in folders of their kind."""
    places: PlacePainter | None = None
    """Who paints new backgrounds; None where nobody does."""
    painter: PaintsOver | None = None
    """Who paints pictures over; None where nobody does."""
    request: GenerationRequest | None = None
    """What the picture at hand was painted from; the retoucher says it."""
    _kept: LruCache[Hashable, Any] = field(default_factory=lambda: LruCache(max_count=MOST_KEPT), repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """The number format in which the device is quick."""
        return pick_dtype(self.device)

    def keep(self, key: Hashable, load: Callable[[], T]) -> T:
        """Return what `load` returned for this key, loaded if it is not kept."""
        kept: T = self._kept.get_or_make(key, load)
        return kept


def part(work: Generator[float, None, T], begin: float, end: float) -> Generator[float, None, T]:
    """Do `work` as the part from `begin` to `end` of a larger one."""
    while True:
        try:
            share = next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        yield begin + (end - begin) * share


def finish(work: Generator[float, None, T], on_share: Callable[[float], None] = lambda _share: None) -> T:
    """Do all of `work` and return what it comes to; `on_share` hears the share that is done."""
    while True:
        try:
            on_share(next(work))
        except StopIteration as done:
            result: T = done.value
            return result

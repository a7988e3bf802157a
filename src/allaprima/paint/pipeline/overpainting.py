"""Requests painted over what a person starts from, by one pass each or by several around a picture.

over = Overpainting(StartingPicture.of("cat.png", outpaint="left=64"), painter.base)
request = painter.request(prompt="a beach", seed=7, **over.size)
for event in over.events(painter.events, [request]): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from allaprima.core.events import Event
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.core.starting_picture import StartingPicture
from allaprima.paint.contract.base import Base
from allaprima.paint.pipeline.outpaint import Outpainting, Paint


class Overpainting:
    """What is painted over, for one base.

    Args:
        start: None for painting on nothing.
        base: what paints.
    """

    def __init__(self, start: StartingPicture | InitImage | None, base: Base) -> None:
        self._start = start
        self._around = (
            Outpainting(start, start.margins, base)
            if isinstance(start, StartingPicture) and start.margins is not None
            else None
        )

    @property
    def passes(self) -> int:
        """How many times the base paints for one picture."""
        return 1 if self._around is None else len(self._around.windows)

    def fit(self, requests: Sequence[GenerationRequest]) -> list[GenerationRequest]:
        """Return `requests` at the size of a pass, which the canvas around a picture decides."""
        if self._around is None:
            return list(requests)
        width, height = self._around.size
        return [replace(request, width=width, height=height) for request in requests]

    def events(
        self, paint: Paint, requests: Sequence[GenerationRequest], *, previews: bool = False
    ) -> Iterator[Event]:
        """Paint `requests`, which `fit` has returned, as `Painter.events` does."""
        if self._around is not None:
            around = self._around
            return chain.from_iterable(around.events(paint, each, previews=previews) for each in requests)
        start = self._start
        if isinstance(start, StartingPicture):
            start = start.init_image(width=requests[0].width, height=requests[0].height)
        return paint(*requests, previews=previews, init_image=start)

"""Requests painted over what a person starts from, by one pass each or by several around a picture.

over = Overpainting(StartingPicture.of("cat.png", outpaint="left=64"), painter.base)
request = painter.request(prompt="a beach", seed=7, **over.size)
for event in over.events(painter.events, [request]): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from allaprima.core.errors import RequestError
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

    @property
    def size(self) -> dict[str, int]:
        """The fields of a request that are decided by what is painted over: those of its size, around a picture."""
        return {} if self._around is None else dict(zip(("width", "height"), self._around.size, strict=True))

    def check(self, given: Mapping[str, Any]) -> None:
        """Refuse a size, among the fields of a request, where that is decided already."""
        if self.size and not given.keys().isdisjoint(self.size):
            raise RequestError(
                "got a size for a picture that is extended; expected none, for the picture and its new sides say it"
            )

    def events(
        self, paint: Paint, requests: Sequence[GenerationRequest], *, previews: bool = False
    ) -> Iterator[Event]:
        """Paint `requests`, as `Painter.events` does; they have the size that is decided here."""
        if self._around is not None:
            around = self._around
            return chain.from_iterable(around.events(paint, each, previews=previews) for each in requests)
        start = self._start
        if isinstance(start, StartingPicture):
            start = start.init_image(width=requests[0].width, height=requests[0].height)
        return paint(*requests, previews=previews, init_image=start)

"""Painting around a picture: a canvas that grows window by window, the picture in it kept to the bit.

    outpainting = Outpainting(start, Margins(left=64), base)
    for event in outpainting.events(painter.events, request): ...

A canvas that the base paints at once is one window; any other is covered by windows of the base's own size, at the
picture's scale. What is new begins as the colours around it, at the strength asked for, and meets what is known in an
edge that rises inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from PIL import Image

from allaprima.core.errors import RequestError
from allaprima.core.events import Event, Finished, Started, Step
from allaprima.core.init_image import InitImage
from allaprima.core.mask import PixelBox, feather, fill_painted
from allaprima.core.outpaint import Margins, plan_windows
from allaprima.core.picture import Picture
from allaprima.core.request import MAX_SIDE_PX, GenerationRequest
from allaprima.core.starting_picture import StartingPicture
from allaprima.paint.contract.base import Base

MAX_PIXELS = 2**24
"""Of a canvas: 4096 x 4096."""
MAX_AT_ONCE = 2
"""A canvas of more than so many pictures of the base's own size is painted in windows: bases repeat things there."""


class Paint(Protocol):
    """What paints whole pictures: `Painter.events`."""

    def __call__(
        self, *requests: GenerationRequest, previews: bool = False, init_image: InitImage | None = None
    ) -> Iterator[Event]:
        """Paint `requests` over the init image, reporting each step."""


class Outpainting:
    """A picture and the canvas around it.

    Args:
        start: the picture, which is kept, how far the colours around it are painted over, and how wide the edge is at
            which what is new begins.
        margins: what is added.
        base: what paints; it decides how large a window is.

    Raises:
        RequestError: the canvas is too large.
    """

    def __init__(self, start: StartingPicture, margins: Margins, base: Base) -> None:
        self.margins = margins
        self._strength = start.strength
        self._feather_px = start.feather_px
        self._picture = picture = start.picture
        self._canvas = width, height = margins.extend(*picture.size)
        if width * height > MAX_PIXELS:
            raise RequestError(f"got a canvas of {width}x{height} pixels; expected at most {MAX_PIXELS:,}")
        self.size = (
            self._canvas if _paints(base, *self._canvas) else (base.defaults.width, base.defaults.height)
        )
        """Width and height of a window, in pixels: the size that the request is to have."""
        whole = self.size == self._canvas
        self.windows: list[PixelBox] = (
            [(0, 0, *self._canvas)] if whole else plan_windows(margins, picture.size, self.size)
        )
        """What is painted, one after the other."""

    def events(self, paint: Paint, request: GenerationRequest, *, previews: bool = False) -> Iterator[Event]:
        """Paint `request` around the picture and report each step, as if the windows were one picture.

        The windows have seeds that follow each other, so that they do not repeat one another.
        """
        canvas, mask = self._blank()
        ms: dict[str, float] = {}
        yield Started(requests=(request,))
        for number, box in enumerate(self.windows):
            window = self._window(canvas, mask, box)
            own = replace(request, seed=(request.seed + number) % 2**63)
            for event in paint(own, previews=previews, init_image=window):
                if isinstance(event, Step):
                    yield self._step(event, request, number)
                elif isinstance(event, Finished):
                    (picture,) = event.pictures
                    ms = {stage: ms.get(stage, 0.0) + took for stage, took in event.timings_ms.items()}
            canvas = picture.image
            mask.paste(0, box)
        yield Finished(pictures=(self._named(picture, request),), timings_ms=ms)

    def _blank(self) -> tuple[Image.Image, Image.Image]:
        """Return the canvas with the picture on it, and what of it is new."""
        canvas, mask = Image.new("RGB", self._canvas), Image.new("L", self._canvas, 255)
        place = (self.margins.left, self.margins.top)
        canvas.paste(self._picture, place)
        mask.paste(0, (*place, place[0] + self._picture.width, place[1] + self._picture.height))
        return canvas, mask

    def _window(self, canvas: Image.Image, mask: Image.Image, box: PixelBox) -> InitImage:
        near = _around(box, mask.size)
        hidden, filled = mask.crop(near), canvas.copy()
        filled.paste(fill_painted(canvas.crop(near), hidden), near[:2])
        edged, new = Image.new("L", mask.size), Image.new("L", mask.size)
        edged.paste(feather(hidden, self._feather_px), near[:2])
        # Nothing fades where a window ends in what is still to be painted: the next one begins there.
        new.paste(edged.crop(box), box)
        width, height = self.size
        return InitImage.window(filled, new, box, width=width, height=height, strength=self._strength)

    def _step(self, step: Step, request: GenerationRequest, number: int) -> Step:
        total = step.total * len(self.windows)
        shown = tuple(self._named(picture, request) for picture in step.previews)
        return replace(step, index=number * step.total + step.index, total=total, previews=shown)

    def _named(self, picture: Picture, request: GenerationRequest) -> Picture:
        return replace(picture, request=request, inpaint_area=str(self.margins))


def _around(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    """Return a box twice as large, as far as it lies in a canvas of `size`."""
    left, top, right, bottom = box
    x, y = (right - left) // 2, (bottom - top) // 2
    return max(left - x, 0), max(top - y, 0), min(right + x, size[0]), min(bottom + y, size[1])


def _paints(base: Base, width: int, height: int) -> bool:
    own = base.defaults.width * base.defaults.height
    try:
        base.check_size(width, height)
    except RequestError:
        return False
    return width * height <= MAX_AT_ONCE * own and max(width, height) <= MAX_SIDE_PX

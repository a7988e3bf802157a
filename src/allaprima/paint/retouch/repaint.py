"""Repainting: a picture is painted over, at the size that it has, from the words that it was painted from."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from allaprima.core.errors import RequestError
from allaprima.core.events import Finished, Step
from allaprima.core.init_image import InitImage
from allaprima.core.retouch import Repaint
from allaprima.paint.retouch.work import PaintsOver, Work, Workshop


def repaint(image: Image.Image, operation: Repaint, workshop: Workshop) -> Work:
    """Return the picture painted over; what is transparent stays so. See `Work`.

    Raises:
        RequestError: nobody is there who paints, the picture has no request, or its base does not paint this size.
    """
    painter = require_painter(operation, workshop)
    if workshop.request is None:
        raise RequestError("got a picture without a request to paint over; expected one that was painted")
    width, height = image.size
    init_image = InitImage.from_image(image, width=width, height=height, strength=operation.strength)
    painted = image
    for event in painter.events(replace(workshop.request, width=width, height=height), init_image=init_image):
        if isinstance(event, Step):
            yield event.index / (event.total + 1)
        elif isinstance(event, Finished):
            painted = event.pictures[0].image
    if image.mode == "RGBA":
        painted.putalpha(image.getchannel("A"))
    yield 1.0
    return painted


def require_painter(_operation: Repaint, workshop: Workshop) -> PaintsOver:
    """Return who paints; RequestError where nobody does."""
    if workshop.painter is None:
        raise RequestError(
            "got a picture to paint over where nothing paints; expected it where a base is loaded: prima paint --from"
        )
    return workshop.painter

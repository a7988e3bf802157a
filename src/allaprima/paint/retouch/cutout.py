"""Cutting out: the subject with an alpha channel, in its own colours."""

from __future__ import annotations

from PIL import Image

from allaprima.core.retouch import CutOut
from allaprima.paint.retouch.finders import get_finder
from allaprima.paint.retouch.matte import find_subject
from allaprima.paint.retouch.matting import foreground
from allaprima.paint.retouch.picture_arrays import to_array, to_image
from allaprima.paint.retouch.work import Work, Workshop


def cut_out(image: Image.Image, operation: CutOut, workshop: Workshop) -> Work:
    """Return the subject on a transparent ground, as RGBA; what was transparent before stays so. See `Work`.

    Raises:
        PictureError: nothing stands out.
        RequestError: there are no such weights, or a point is outside the picture.
        WeightsError: they cannot be used.
    """
    finder = get_finder(operation, workshop)
    yield 0.1
    colors = image.convert("RGB")
    matte = find_subject(colors, finder)
    yield 0.7
    if image.mode == "RGBA":
        matte = matte * to_array(image.getchannel("A"))
    cut = to_image(foreground(to_array(colors), matte), matte)
    yield 1.0
    return cut

"""A new background: the subject is cut out and put before a place that is painted from words."""

from __future__ import annotations

from PIL import Image, ImageOps

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.retouch import CutOut, NewBackground
from allaprima.paint.retouch.compositing import compose, fill_hole
from allaprima.paint.retouch.finders import get_finder
from allaprima.paint.retouch.matte import MatteFinder, find_subject
from allaprima.paint.retouch.matting import Array, foreground
from allaprima.paint.retouch.picture_arrays import to_array, to_image
from allaprima.paint.retouch.work import PlacePainter, Work, Workshop


def put_before_background(image: Image.Image, operation: NewBackground, workshop: Workshop) -> Work:
    """Return the subject in another place and its light, as RGB. See `Work`.

    A picture with a transparent ground is taken as cut out already.

    Raises:
        PictureError: nothing stands out.
        RequestError: nobody is there who paints the place, or there are no such weights.
    """
    places = prepare_background(operation, workshop)
    colors = to_array(image.convert("RGB"))
    if image.mode == "RGBA":
        matte, front, old = to_array(image.getchannel("A")), colors, None
    else:
        matte = find_subject(image, get_finder(operation.subject, workshop))
        front, old = foreground(colors, matte), colors
    yield 0.2
    place = paint_place(operation, places, get_finder(CutOut(), workshop))
    yield 0.9
    behind = to_array(ImageOps.fit(place, image.size, Image.Resampling.LANCZOS))
    composed = to_image(compose(front, matte, behind, old=old))
    yield 1.0
    return composed


def prepare_background(operation: NewBackground, workshop: Workshop) -> PlacePainter:
    """Load what a new background needs and return who paints it; raises as `put_before_background`."""
    if workshop.places is None:
        raise RequestError("got a new background where nothing paints; expected it where a base is loaded")
    get_finder(operation.subject, workshop)
    return workshop.places


def paint_place(operation: NewBackground, places: PlacePainter, finder: MatteFinder) -> Image.Image:
    """Return the place as RGB, without the small thing that some bases cannot leave away."""
    place = places.paint(places.prompt.format(operation.prompt), operation.seed)
    if places.prompt == PlacePainter.prompt:
        return place
    try:
        thing: Array = find_subject(place, finder)
    except PictureError:  # it was left away after all
        return place
    return to_image(fill_hole(to_array(place), thing))

"""Upscaling: as often through a network as it takes, then down to the size that was asked for."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from allaprima.core.retouch import Upscale
from allaprima.core.retouch_source import check_size
from allaprima.paint.retouch.loaded_upscaler import LoadedUpscaler
from allaprima.paint.retouch.tiles import enlarge_in_tiles
from allaprima.paint.retouch.upscaler_files import load_upscaler
from allaprima.paint.retouch.upscaler_folder import locate_upscaler
from allaprima.paint.retouch.work import Work, Workshop, part


def upscale(image: Image.Image, operation: Upscale, workshop: Workshop) -> Work:
    """Return the picture with `operation.scale` times as many pixels a side; see `Work`.

    What is transparent goes through the network too, as a grey picture of its own.

    Raises:
        PictureError: the result would have too many pixels.
        WeightsError: there is no such upscaler, or its file cannot be used.
    """
    size = (round(image.width * operation.scale), round(image.height * operation.scale))
    check_size(*size, "a picture to be made")
    if size == image.size:
        locate_upscaler(
            operation.upscaler, workshop.models_dirs
        )  # one that is not there is told all the same
        return image
    upscaler = get_upscaler(operation.upscaler, workshop)
    transparent = image.mode == "RGBA"
    colours = part(
        _enlarged(image.convert("RGB"), size, upscaler, workshop), 0.0, 0.5 if transparent else 1.0
    )
    enlarged = yield from colours
    if transparent:
        grey = image.getchannel("A").convert("RGB")
        alpha = yield from part(_enlarged(grey, size, upscaler, workshop), 0.5, 1.0)
        enlarged.putalpha(alpha.getchannel("G"))
    return enlarged


def get_upscaler(name: str, workshop: Workshop) -> LoadedUpscaler:
    """Return the upscaler called `name`, loaded if it is not; see `locate_upscaler`."""
    path = locate_upscaler(name, workshop.models_dirs)
    return workshop.keep(("upscaler", path), lambda: load_upscaler(path, workshop.device, workshop.dtype))


def _enlarged(
    image: Image.Image, size: tuple[int, int], upscaler: LoadedUpscaler, workshop: Workshop
) -> Work:
    """Return an RGB picture at `size`, after as many passes as that takes."""
    factor, scale = upscaler.scale, size[0] / image.width
    passes = max(1, math.ceil(math.log(scale, factor) - 1e-6))
    costs = [
        factor ** (2 * number) for number in range(passes)
    ]  # each pass has so many times the pixels of the last
    for number, cost in enumerate(costs):
        if number and number == passes - 1:
            # What the last pass makes is of the size asked for, however odd that is.
            image = image.resize((-(-size[0] // factor), -(-size[1] // factor)), Image.Resampling.LANCZOS)
        tiles = enlarge_in_tiles(np.asarray(image), upscaler.enlarge, factor, upscaler.tiles, workshop.device)
        before = sum(costs[:number])
        pixels = yield from part(tiles, before / sum(costs), (before + cost) / sum(costs))
        image = Image.fromarray(pixels)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)

"""Restyling: a picture in the hand of one of the renderer's styles, or of another picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.image_modes import to_rgb
from allaprima.core.retouch import STYLE_NAMES, Restyle
from allaprima.core.retouch_source import open_picture
from allaprima.paint.retouch.network_files import RESTYLE_PATH, load_restyler
from allaprima.paint.retouch.picture_arrays import to_array, to_image
from allaprima.paint.retouch.restyler import Restyler, StyleStatistics
from allaprima.paint.retouch.style_encoder import STRIDE
from allaprima.paint.retouch.work import Work, Workshop

MOST_SIDE: Final = 1536
"""A picture with a longer side is restyled at this size and enlarged again: its style is seen as a whole."""
STYLE_SIDE: Final = 512
"""Pixels of a style picture's longer side when its style is looked at."""


def restyle(image: Image.Image, operation: Restyle, workshop: Workshop) -> Work:
    """Return the picture in another style; what is transparent stays so. See `Work`.

    Raises:
        PictureError: the style's picture cannot be read.
        RequestError: there is no style of that name.
    """
    restyler, style = prepare_restyling(operation, workshop)
    yield 0.2
    painted = paint_in_style(image.convert("RGB"), style, restyler, operation.strength)
    if image.mode == "RGBA":
        painted.putalpha(image.getchannel("A"))
    yield 1.0
    return painted


def prepare_restyling(operation: Restyle, workshop: Workshop) -> tuple[Restyler, StyleStatistics | str]:
    """Load what a restyling needs; raises as `restyle`."""
    restyler = get_restyler(workshop)
    return restyler, find_style(operation.style, restyler, workshop)


def get_restyler(workshop: Workshop) -> Restyler:
    """Return the restyler that ships, loaded if it is not."""
    return workshop.keep("restyler", lambda: load_restyler(RESTYLE_PATH, workshop.device, workshop.dtype))


def find_style(name: str, restyler: Restyler, workshop: Workshop) -> StyleStatistics | str:
    """Return a style to hand to `paint_in_style`: a name, or the statistics of the picture at a path.

    Raises:
        PictureError: it cannot be read as a picture.
        RequestError: it is neither a style's name nor a file.
    """
    if name in STYLE_NAMES:
        return name
    path = Path(name)
    if not path.exists():
        raise RequestError(
            f"got the style {name[:80]!r}; expected {', '.join(STYLE_NAMES)}, or a picture file"
        )
    changed = path.stat().st_mtime_ns
    return workshop.keep(
        ("style", path.resolve(), changed), lambda: style_of(open_picture(path).image, restyler)
    )


@torch.inference_mode()
def style_of(image: Image.Image, restyler: Restyler) -> StyleStatistics:
    """Return the style of an RGB picture."""
    if min(image.size) < STRIDE:
        raise PictureError(
            f"got a style picture of {image.width}x{image.height}; expected at least {STRIDE} a side"
        )
    image = to_rgb(image)
    image.thumbnail((STYLE_SIDE, STYLE_SIDE), Image.Resampling.LANCZOS)
    return restyler.style_of(_pixels(image, restyler))


@torch.inference_mode()
def paint_in_style(
    image: Image.Image, style: StyleStatistics | str, restyler: Restyler, strength: float = 1.0
) -> Image.Image:
    """Return an RGB picture in a style: quick enough for live frames.

    Args:
        image: RGB.
        style: of `style_of` or `find_style`.
        restyler: see `get_restyler`.
        strength: 0 for the picture itself, as near as the decoder paints it, to 1.
    """
    share = min(1.0, MOST_SIDE / max(image.size))
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    small = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
    painted = restyler(_pixels(small, restyler), style, strength)[0, :, : size[1], : size[0]]
    result = to_image(painted.float().add(1).div(2).permute(1, 2, 0).cpu().numpy())
    return result if size == image.size else result.resize(image.size, Image.Resampling.LANCZOS)


def _pixels(image: Image.Image, restyler: Restyler) -> Tensor:
    """Return a picture as (1, 3, H, W) in [-1, 1] with sides that the restyler takes."""
    pixels = torch.from_numpy(to_array(image)).permute(2, 0, 1)[None] * 2 - 1
    down, right = (-side % STRIDE for side in pixels.shape[2:])
    pixels = functional.pad(pixels, (0, right, 0, down), mode="replicate")
    parameter = next(restyler.parameters())
    return pixels.to(parameter.device, parameter.dtype, memory_format=torch.channels_last)

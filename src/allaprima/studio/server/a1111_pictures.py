"""What A1111's img2img starts from: its picture and mask, prepared as A1111 does in its processing module.

A mask is white where it is painted. In one that is transparent somewhere what is opaque is painted, the other way
round than in OpenAI's. It is stretched to the picture's size, turned round, and softened, in this order.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

from allaprima.core.errors import RequestError
from allaprima.core.image_modes import is_transparent, to_mask
from allaprima.core.init_image import InitImage
from allaprima.core.mask import KEEPS_ALL, fill_painted, painted_box
from allaprima.core.request import GenerationRequest
from allaprima.studio.server.a1111_bodies import ImageToImage
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.uploads import decode_base64, decode_upload, fit, open_upload


def to_init_images(body: ImageToImage, request: GenerationRequest, caps: Caps) -> list[InitImage]:
    """Return what is painted over at the size of `request`; RequestError for pictures that cannot be read."""
    return [_to_init_image(body, image, request, caps) for image in body.init_images]


def _to_init_image(body: ImageToImage, image: str, request: GenerationRequest, caps: Caps) -> InitImage:
    width, height = request.width, request.height
    strength = body.denoising_strength
    picture = open_upload(decode_base64(image), caps)
    if not body.mask:
        rgb = fit(picture, width, height, body.resize_mode).tobytes()
        return InitImage(width=width, height=height, rgb=rgb, strength=strength)
    mask = _to_mask(body, picture.size, caps)
    fills = not body.inpainting_fill
    if body.inpaint_full_res:
        box = painted_box(mask, padding=body.inpaint_full_res_padding or 0, size=(width, height))
        return InitImage.window(picture, mask, box, width=width, height=height, strength=strength, fill=fills)
    picture, mask = (fit(each, width, height, body.resize_mode) for each in (picture, mask))
    if fills:
        picture = fill_painted(picture, mask)
    return InitImage(
        width=width, height=height, rgb=picture.tobytes(), strength=strength, mask=mask.tobytes()
    )


def _to_mask(body: ImageToImage, size: tuple[int, int], caps: Caps) -> Image.Image:
    sent = decode_upload(decode_base64(body.mask or ""), caps)
    mask = to_mask(sent)
    if is_transparent(sent):
        mask = ImageChops.invert(mask)
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    if body.inpainting_mask_invert:
        mask = ImageChops.invert(mask)
    if mask.getbbox() is None:
        raise RequestError(KEEPS_ALL)
    return mask.filter(ImageFilter.GaussianBlur(body.blur))

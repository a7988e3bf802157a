"""A1111's routes for finished pictures: extra-single-image, extra-batch-images, upscalers, interrogate.

Bodies and answers have the fields of `modules/api/models.py` in stable-diffusion-webui.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from allaprima.core.retouch import MAX_SCALE, Operation, Upscale
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.messages import RetouchOrder
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.jobs import finish_retouch
from allaprima.studio.server.retouch_routes import check_result, open_sent, upscaler_names
from allaprima.studio.server.studio import Studio, StudioDep

router = APIRouter(prefix="/sdapi/v1", tags=["A1111"])

NO_UPSCALER = "None"
_NOT_HERE = ("gfpgan_visibility", "codeformer_visibility")
_SECOND = "extras_upscaler_2_visibility"
_NEUTRAL = frozenset({"codeformer_weight", "show_extras_results", "upscale_first", "upscaler_2"})
"""Fields that mean nothing here: those of what is not here, and of a page."""


class Extras(BaseModel):
    """How to enlarge."""

    model_config = ConfigDict(extra="allow")

    resize_mode: int = Field(default=0, ge=0, le=1)
    """0: `upscaling_resize` times; 1: to a size."""
    upscaling_resize: float = Field(default=2.0, gt=0, le=MAX_SCALE)
    upscaling_resize_w: int = Field(default=512, ge=1, le=16_384)
    upscaling_resize_h: int = Field(default=512, ge=1, le=16_384)
    upscaling_crop: bool = True
    """Cut what is too much of a size with other proportions; else the picture stays whole and is smaller."""
    upscaler_1: str | None = NO_UPSCALER
    upscaler_2: str | None = NO_UPSCALER


class ExtraSingleImage(Extras):
    """The body of extra-single-image."""

    image: str = Field(min_length=1)


class FileData(BaseModel):
    """One of several pictures."""

    data: str = Field(min_length=1)
    name: str = ""


class ExtraBatchImages(Extras):
    """The body of extra-batch-images."""

    image_list: list[FileData] = Field(alias="imageList", min_length=1, max_length=16)


@router.post("/extra-single-image")
async def extra_single_image(body: ExtraSingleImage, http: Request, studio: StudioDep) -> dict[str, Any]:
    """Enlarge a picture."""
    return {**_facts(body), "image": await _enlarge(body, body.image, http, studio)}


@router.post("/extra-batch-images")
async def extra_batch_images(body: ExtraBatchImages, http: Request, studio: StudioDep) -> dict[str, Any]:
    """Enlarge pictures, one after the other."""
    images = [await _enlarge(body, file.data, http, studio) for file in body.image_list]
    return {**_facts(body), "images": images}


@router.get("/upscalers")
def upscalers(studio: StudioDep) -> list[dict[str, Any]]:
    """List the upscalers by name; `None` scales as any program does."""
    names = [NO_UPSCALER, *upscaler_names(studio)]
    nothing = dict.fromkeys(("model_name", "model_path", "model_url"))
    return [{"name": name, **nothing, "scale": 4} for name in names]


@router.post("/interrogate")
def interrogate() -> None:
    """Refuse to describe a picture, for nothing here can."""
    raise ProblemError(422, "this studio has nothing that describes pictures in words", code="not_here")


async def _enlarge(body: Extras, image: str, http: Request, studio: Studio) -> str:
    """Return the enlarged picture in base64."""
    picture = await studio.open_pictures(open_sent, image, studio.settings.caps)
    scale, size = _scale_of(body, picture.image.size)
    operations = _operations(body, scale, studio)
    check_result(picture, operations, studio.settings.caps)
    if operations:
        order = RetouchOrder(picture=picture, operations=operations)
        done = await finish_retouch(studio.jobs.retouch(order, http, api="a1111", keep=False))
        if done is None:
            raise ProblemError(409, "the job was cancelled", code="cancelled")
        picture = done
    file = await asyncio.to_thread(lambda: studio.encode(at_size(picture, size)))
    return base64.b64encode(file).decode()


def _scale_of(body: Extras, given: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Return how many times as many pixels a side the network is to give, and the size in the end."""
    if body.resize_mode == 0:
        scale = body.upscaling_resize
        return scale, (max(1, round(given[0] * scale)), max(1, round(given[1] * scale)))
    wanted = (body.upscaling_resize_w, body.upscaling_resize_h)
    scales = [want / side for want, side in zip(wanted, given, strict=True)]
    if body.upscaling_crop:
        return max(scales), wanted
    scale = min(scales)
    return scale, (max(1, round(given[0] * scale)), max(1, round(given[1] * scale)))


def _operations(body: Extras, scale: float, studio: Studio) -> tuple[Operation, ...]:
    """Return what the body asks for; ProblemError for something that is not here."""
    extra = body.model_extra or {}
    for name in _NOT_HERE:
        if extra.get(name):
            raise ProblemError(422, f"{name} is not something this studio does; leave it out", param=name)
    name = body.upscaler_1 or NO_UPSCALER
    if name not in (NO_UPSCALER, *upscaler_names(studio)):
        message = "there is no such upscaler; GET /sdapi/v1/upscalers lists them"
        raise ProblemError(404, message, code="upscaler_not_found", param="upscaler_1")
    if scale > MAX_SCALE:
        raise ProblemError(422, f"got {scale:.1f} times the size; expected at most {MAX_SCALE:g}")
    return (Upscale(scale=scale, upscaler=name),) if scale > 1 and name != NO_UPSCALER else ()


def at_size(picture: RetouchedPicture, size: tuple[int, int]) -> RetouchedPicture:
    """Return the picture at `size`, cut around its middle where it has other proportions."""
    if picture.image.size == size:
        return picture
    return replace(picture, image=ImageOps.fit(picture.image, size, Image.Resampling.LANCZOS))


def _facts(body: Extras) -> dict[str, Any]:
    """Return what the answer says besides the pictures: what was not honoured."""
    extra = {
        name: value for name, value in (body.model_extra or {}).items() if value not in (None, 0, False, "")
    }
    ignored = sorted(set(extra) - _NEUTRAL - {"imageList"})[:20]
    told = f"<p>Ignored: {', '.join(ignored)}</p>" if ignored else ""
    return {"html_info": told, "ignored": ignored}

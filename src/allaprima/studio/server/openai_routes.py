"""OpenAI's image routes: /v1/images/generations, /v1/images/edits, /v1/images/variations and /v1/models.

Field names, error shape and event names are OpenAI's, so that its clients work unchanged; `seed`, `steps`,
`guidance`, `negative_prompt`, `schedule` and `loras` are ours. A parameter that we do not have is refused, never
dropped.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from PIL import Image
from starlette.responses import JSONResponse, Response

from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.request import GenerationRequest, Quality
from allaprima.studio.engine.messages import Cancelled, Progress
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import Events, EventStream
from allaprima.studio.server.jobs import Kept, finish
from allaprima.studio.server.openai_bodies import (
    ImagesBody,
    answers_with_urls,
    get_model,
    remark_on_model,
    to_order,
)
from allaprima.studio.server.openai_edits import EDIT_BODY, VARIATION_BODY, read_edit
from allaprima.studio.server.openai_variations import variation_fields
from allaprima.studio.server.public_address import public_url
from allaprima.studio.server.security import sign_path
from allaprima.studio.server.sizes import FittedSize
from allaprima.studio.server.studio import Order, Studio, StudioDep

router = APIRouter(prefix="/v1", tags=["OpenAI"])

_NO_USAGE = {
    "input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}, "output_tokens": 0,
    "total_tokens": 0,
}  # fmt: skip


@router.post("/images/generations")
async def generate(body: ImagesBody, http: Request, studio: StudioDep) -> Response:
    """Paint one or more pictures from words."""
    return await _answer(body, to_order(body, studio), None, http, studio)


@router.post("/images/edits", openapi_extra=EDIT_BODY)
async def edit(http: Request, studio: StudioDep) -> Response:
    """Paint over a picture, or over what a mask of it says, or from pictures that the base looks at."""
    asked = await read_edit(http)
    order, init_image = await studio.open_pictures(asked.to_order, studio)
    return await _answer(asked.body, order, init_image, http, studio)


@router.post("/images/variations", openapi_extra=VARIATION_BODY)
async def vary(http: Request, studio: StudioDep) -> Response:
    """Paint over a picture from the words that it carries."""
    asked = await read_edit(http, variation_fields)
    order, init_image = await studio.open_pictures(asked.to_order, studio)
    return await _answer(asked.body, order, init_image, http, studio)


async def _answer(
    body: ImagesBody, order: Order, init_image: InitImage | None, http: Request, studio: Studio
) -> Response:
    file_format: FileFormat = body.output_format or "png"
    if body.stream:
        return EventStream(_events(body, order, init_image, http, studio), order.headers)
    result = await finish(studio.jobs.run(order.requests, http, api="openai", init_image=init_image))
    if result.cancelled:
        raise _cancelled()

    def show() -> tuple[list[Picture], list[bytes]]:
        pictures = [order.size.show(picture) for picture in result.pictures]
        return pictures, [] if answers_with_urls(body) else [
            studio.encode(one, file_format) for one in pictures
        ]

    pictures, files = await asyncio.to_thread(show)
    data: list[dict[str, Any]] = [{"seed": picture.request.seed} for picture in pictures]
    for one, picture in zip(data, pictures, strict=True):
        one |= _revised(picture)
    for one, file in zip(data, files, strict=False):
        one["b64_json"] = base64.b64encode(file).decode()
    for one, entry in zip(data, () if files else result.entries, strict=False):
        one["url"] = _url(studio, http, entry.id, file_format, order.size)
    facts = {**_facts(pictures[0], order.requests[0].quality, file_format), **_unheard(body, order, pictures)}
    created = facts.pop("created_at")
    answer = {"created": created, "data": data, **facts, "usage": _NO_USAGE}
    return JSONResponse(answer, headers=order.headers)


@router.get("/models")
def models(studio: StudioDep) -> dict[str, Any]:
    """List the bases."""
    return {"object": "list", "data": [_model(name) for name in studio.bases]}


@router.get("/models/{model:path}")
def model(model: str, studio: StudioDep) -> dict[str, Any]:
    """Describe one base; a name of OpenAI's is the base that paints for it."""
    get_model(model, studio)
    return _model(model)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "allaprima"}


def _url(studio: Studio, http: Request, name: str, file_format: FileFormat, size: FittedSize) -> str:
    path = sign_path(f"/pictures/{name}.{file_format}", studio.settings)
    scaled = "" if size.asked is None else "?size={}x{}".format(*size.asked)
    return public_url(http, path + scaled, studio.settings)


def _facts(shown: Picture | GenerationRequest, quality: Quality, file_format: FileFormat) -> dict[str, Any]:
    return {
        "created_at": int(time.time()),
        "background": "opaque",
        "output_format": file_format,
        "quality": quality,
        "size": f"{shown.width}x{shown.height}",
    }


def _revised(picture: Picture) -> dict[str, str]:
    """Return, under OpenAI's word for it, the prompt that was painted in the place of the template that was sent."""
    return {"revised_prompt": picture.request.prompt} if picture.request.template else {}


def _unheard(body: ImagesBody, order: Order, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return what of `body` is not honoured: `remarks`, a sentence each, and `ignored` fields, if there are any."""
    about_model = remark_on_model(body.model, pictures[0].request.base)
    remarks = dict.fromkeys([*about_model, *(one for picture in pictures for one in picture.remarks)])
    told = {"remarks": list(remarks), "ignored": list(order.ignored)}
    return {name: values for name, values in told.items() if values}


async def _events(
    body: ImagesBody, order: Order, init_image: InitImage | None, http: Request, studio: Studio
) -> Events:
    """Yield None once the job is taken, then OpenAI's events: up to `partial_images` previews, then each picture."""
    file_format: FileFormat = body.output_format or "png"
    quality = order.requests[0].quality
    wanted = body.partial_images or 0
    sent: dict[int, int] = {}
    taken = False
    is_edit = init_image is not None or bool(order.requests[0].references)
    family = "image_edit" if is_edit else "image_generation"
    run = studio.jobs.run(order.requests, http, api="openai", init_image=init_image, previews=wanted > 0)
    async with aclosing(run) as steps:
        async for step in steps:
            if not taken:
                # A client or a proxy that has heard nothing until the picture is painted may have given up.
                taken = True
                yield None
            if isinstance(step, Progress) and step.preview is not None:
                index = sent.get(step.picture, 0)
                if index < wanted and _is_due(step, index, wanted):
                    sent[step.picture] = index + 1
                    file = await asyncio.to_thread(_reencode, step.preview, file_format)
                    facts = _facts(order.requests[0], quality, file_format)
                    yield _event(f"{family}.partial_image", file, {**facts, "partial_image_index": index})
            elif isinstance(step, Kept):
                for painted in step.pictures:
                    picture = await asyncio.to_thread(order.size.show, painted)
                    file = await asyncio.to_thread(studio.encode, picture, file_format)
                    facts = {
                        **_facts(picture, order.requests[0].quality, file_format),
                        **_unheard(body, order, [picture]),
                    }
                    facts |= {"usage": _NO_USAGE, "seed": picture.request.seed, **_revised(picture)}
                    yield _event(f"{family}.completed", file, facts)
            elif isinstance(step, Cancelled):
                raise _cancelled()


def _cancelled() -> ProblemError:
    # OpenAI's clients repeat what was answered with 409, and a job that somebody cancelled is to stay so.
    return ProblemError(409, "the job was cancelled", code="cancelled", headers={"x-should-retry": "false"})


def _is_due(step: Progress, index: int, wanted: int) -> bool:
    """Return whether the next preview is due: they are spread evenly over the steps before the last."""
    return 0 < step.step < step.total and step.step * (wanted + 1) >= (index + 1) * step.total


def _event(name: str, file: bytes, facts: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return name, {"type": name, "b64_json": base64.b64encode(file).decode(), **facts}


def _reencode(jpeg: bytes, file_format: FileFormat) -> bytes:
    if file_format == "jpeg":
        return jpeg
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.save(out, file_format.upper())
    return out.getvalue()

"""OpenAI's image routes: /v1/images/generations, /v1/images/edits and /v1/models.

Field names, error shape and event names are OpenAI's, so that its clients work unchanged; `seed`, `steps`,
`guidance`, `negative_prompt`, `schedule` and `loras` are ours. A parameter that we do not have is refused, never
dropped.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from PIL import Image
from starlette.responses import JSONResponse, Response

from allaprima.core.init_image import InitImage
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.messages import Cancelled, Progress
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import Events, EventStream
from allaprima.studio.server.jobs import Kept, finish
from allaprima.studio.server.openai_bodies import ImagesBody, get_model, to_requests
from allaprima.studio.server.openai_edits import EDIT_BODY, read_edit
from allaprima.studio.server.security import sign_path
from allaprima.studio.server.studio import BaseCard, Studio, StudioDep

router = APIRouter(prefix="/v1", tags=["OpenAI"])

_NO_USAGE = {
    "input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}, "output_tokens": 0,
    "total_tokens": 0,
}  # fmt: skip


@router.post("/images/generations")
async def generate(body: ImagesBody, http: Request, studio: StudioDep) -> Response:
    """Paint one or more pictures from words."""
    return await _answer(body, to_requests(body, studio), None, http, studio)


@router.post("/images/edits", openapi_extra=EDIT_BODY)
async def edit(http: Request, studio: StudioDep) -> Response:
    """Paint over a picture, or over what a mask of it says."""
    asked = await read_edit(http)
    requests = to_requests(asked.body, studio)
    init_image = await asyncio.to_thread(asked.to_init_image, requests[0], studio.settings.caps)
    return await _answer(asked.body, requests, init_image, http, studio)


@router.post("/images/variations")
def variations() -> None:
    """Refuse: pictures are painted from words here."""
    message = "no picture is painted without words here; POST the picture with a prompt to /v1/images/edits"
    raise ProblemError(400, message, code="not_supported")


async def _answer(
    body: ImagesBody,
    requests: list[GenerationRequest],
    init_image: InitImage | None,
    http: Request,
    studio: Studio,
) -> Response:
    file_format: FileFormat = body.output_format or "png"
    if body.stream:
        return EventStream(_events(body, requests, init_image, http, studio))
    kept = await finish(studio.jobs.run(requests, http, api="openai", init_image=init_image))
    if kept is None:
        raise ProblemError(409, "the job was cancelled", code="cancelled")
    if body.response_format == "url":
        entries = zip(kept.entries, requests, strict=True)
        data = [{"url": _url(studio, http, entry.id, file_format), "seed": r.seed} for entry, r in entries]
    else:
        files = await asyncio.to_thread(lambda: [picture.encode(file_format) for picture in kept.pictures])
        data = [
            {"b64_json": base64.b64encode(file).decode(), "seed": request.seed}
            for file, request in zip(files, requests, strict=True)
        ]
    facts = {**_facts(requests[0], file_format), **_remarks(requests[0], studio)}
    created = facts.pop("created_at")
    return JSONResponse({"created": created, "data": data, **facts, "usage": _NO_USAGE})


@router.get("/models")
def models(studio: StudioDep) -> dict[str, Any]:
    """List the bases."""
    return {"object": "list", "data": [_model(base) for base in studio.bases.values()]}


@router.get("/models/{model:path}")
def model(model: str, studio: StudioDep) -> dict[str, Any]:
    """Describe one base."""
    return _model(get_model(model, studio))


def _model(base: BaseCard) -> dict[str, Any]:
    return {"id": base.name, "object": "model", "created": 0, "owned_by": "allaprima"}


def _url(studio: Studio, http: Request, name: str, file_format: FileFormat) -> str:
    path = sign_path(f"/pictures/{name}.{file_format}", studio.settings)
    return f"{http.url.scheme}://{http.headers['host']}{path}"


def _facts(request: GenerationRequest, file_format: FileFormat) -> dict[str, Any]:
    return {
        "created_at": int(time.time()),
        "background": "opaque",
        "output_format": file_format,
        "quality": request.quality,
        "size": f"{request.width}x{request.height}",
    }


def _remarks(request: GenerationRequest, studio: Studio) -> dict[str, Any]:
    remarks = studio.remarks(request)
    return {"remarks": remarks} if remarks else {}


async def _events(
    body: ImagesBody,
    requests: list[GenerationRequest],
    init_image: InitImage | None,
    http: Request,
    studio: Studio,
) -> Events:
    """Yield None once the job is taken, then OpenAI's events: up to `partial_images` previews, then each picture."""
    file_format: FileFormat = body.output_format or "png"
    wanted = body.partial_images or 0
    family = "image_generation" if init_image is None else "image_edit"
    sent: dict[int, int] = {}
    taken = False
    run = studio.jobs.run(requests, http, api="openai", init_image=init_image, previews=wanted > 0)
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
                    name = f"{family}.partial_image"
                    yield _event(name, requests[0], file, file_format, partial_image_index=index)
            elif isinstance(step, Kept):
                for picture in step.pictures:
                    file = await asyncio.to_thread(picture.encode, file_format)
                    remarks = _remarks(picture.request, studio)
                    extra = {"usage": _NO_USAGE, "seed": picture.request.seed, **remarks}
                    yield _event(f"{family}.completed", picture.request, file, file_format, **extra)
            elif isinstance(step, Cancelled):
                raise ProblemError(409, "the job was cancelled", code="cancelled")


def _is_due(step: Progress, index: int, wanted: int) -> bool:
    """Return whether the next preview is due: they are spread evenly over the steps before the last."""
    return 0 < step.step < step.total and step.step * (wanted + 1) >= (index + 1) * step.total


def _event(
    name: str, request: GenerationRequest, file: bytes, file_format: FileFormat, **extra: Any
) -> tuple[str, Mapping[str, Any]]:
    encoded = base64.b64encode(file).decode()
    return name, {"type": name, "b64_json": encoded, **_facts(request, file_format), **extra}


def _reencode(jpeg: bytes, file_format: FileFormat) -> bytes:
    if file_format == "jpeg":
        return jpeg
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.save(out, file_format.upper())
    return out.getvalue()

"""OpenAI's image routes: /v1/images/generations and /v1/models.

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
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from allaprima.core.infotext import parse_size
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.request import GenerationRequest, LoraUse, Quality
from allaprima.studio.engine.messages import Cancelled, Progress
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import Events, EventStream
from allaprima.studio.server.jobs import Kept
from allaprima.studio.server.security import sign_path
from allaprima.studio.server.studio import BaseCard, Studio, StudioDep, one_line, painting_defaults, pick_seed

router = APIRouter(prefix="/v1", tags=["OpenAI"])

MAX_N = 10
_FINE = 90  # output_compression from which the finer of our two qualities is nearer
_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


class LoraField(BaseModel):
    """A LoRA by name."""

    model_config = ConfigDict(extra="forbid")
    name: str
    weight: float = 1.0


class ImagesBody(BaseModel):
    """What a client asks for."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prompt: str
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MAX_N)] | None = 1
    size: str | None = "auto"
    quality: Literal["auto", "standard", "hd", "low", "medium", "high", "xhigh", "max"] | None = "auto"
    response_format: Literal["b64_json", "url"] | None = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    stream: bool | None = False
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = 0
    background: Literal["auto", "opaque"] | None = "auto"
    moderation: Literal["auto", "low"] | None = None
    style: Literal["vivid", "natural"] | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    safety_identifier: Annotated[str, Field(max_length=1000)] | None = None
    seed: int | None = None
    steps: Annotated[int | None, Field(validation_alias=AliasChoices("steps", "num_inference_steps"))] = None
    guidance: Annotated[
        float | None, Field(validation_alias=AliasChoices("guidance", "guidance_scale", "true_cfg_scale"))
    ] = None
    negative_prompt: str | None = None
    schedule: str | None = None
    loras: list[LoraField] = Field(default_factory=list, max_length=32)


@router.post("/images/generations")
async def generate(body: ImagesBody, http: Request, studio: StudioDep) -> Response:
    """Paint one or more pictures from words."""
    requests = _to_requests(body, studio)
    file_format: FileFormat = body.output_format or "png"
    if body.stream:
        return EventStream(_events(body, requests, http, studio))
    kept = await studio.jobs.finish(requests, http, family="openai")
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
    facts = {key: value for key, value in _facts(requests[0], file_format).items() if key != "created_at"}
    return JSONResponse({"created": int(time.time()), "data": data, **facts, "usage": _NO_USAGE})


@router.get("/models")
def models(studio: StudioDep) -> dict[str, Any]:
    """List the bases."""
    return {"object": "list", "data": [_model(base) for base in studio.bases.values()]}


@router.get("/models/{model:path}")
def model(model: str, studio: StudioDep) -> dict[str, Any]:
    """Describe one base."""
    if model not in studio.bases:
        raise _no_model(model)
    return _model(studio.bases[model])


def _model(base: BaseCard) -> dict[str, Any]:
    return {"id": base.name, "object": "model", "created": 0, "owned_by": "allaprima"}


def _no_model(name: str) -> ProblemError:
    return ProblemError(
        404,
        f"there is no model {name[:80]!r}; GET /v1/models lists them",
        code="model_not_found",
        param="model",
    )


def _to_requests(body: ImagesBody, studio: Studio) -> list[GenerationRequest]:
    base = _find_base(body.model, studio)
    count = body.n or 1
    seed = pick_seed(body.seed, count) if body.seed is None else body.seed
    size = (base.width, base.height) if body.size in (None, "auto", "") else parse_size(str(body.size))
    usual = painting_defaults(base, studio.loras, turbo=not _says_how(body))
    first: dict[str, Any] = {
        "prompt": one_line(body.prompt),
        "negative_prompt": one_line(body.negative_prompt or ""),
        "width": size[0],
        "height": size[1],
        "steps": usual["steps"] if body.steps is None else body.steps,
        "guidance": usual["guidance"] if body.guidance is None else body.guidance,
        "base": base.name,
        "quality": _quality(body),
        "schedule": body.schedule,
        "loras": usual["loras"] or tuple(LoraUse(name=lora.name, weight=lora.weight) for lora in body.loras),
    }
    requests = [GenerationRequest(seed=seed + number, **first) for number in range(count)]
    studio.jobs.check(requests)
    return requests


def _says_how(body: ImagesBody) -> bool:
    """Whether the client says something of how to paint, and not only what: then it gets just that."""
    said = (body.steps, body.guidance, body.negative_prompt or None, body.schedule)
    return "loras" in body.model_fields_set or any(value is not None for value in said)


def _find_base(name: str | None, studio: Studio) -> BaseCard:
    # Many programs send OpenAI's own names whatever the server; they get the base that is there.
    if not name or name.startswith(("dall-e", "gpt-image", "chatgpt-image")):
        return studio.first_base
    if name not in studio.bases:
        raise _no_model(name)
    return studio.bases[name]


def _quality(body: ImagesBody) -> Quality:
    if body.output_compression is not None:
        return "high" if body.output_compression >= _FINE else "medium"
    return "medium" if body.quality in ("low", "medium") else "high"


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


async def _events(
    body: ImagesBody, requests: list[GenerationRequest], http: Request, studio: Studio
) -> Events:
    """Yield None once the job is taken, then OpenAI's events: up to `partial_images` previews, then each picture."""
    file_format: FileFormat = body.output_format or "png"
    wanted = body.partial_images or 0
    sent: dict[int, int] = {}
    taken = False
    run = studio.jobs.run(requests, http, family="openai", previews=wanted > 0)
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
                    yield _event("partial_image", requests[0], file, file_format, partial_image_index=index)
            elif isinstance(step, Kept):
                for picture in step.pictures:
                    file = await asyncio.to_thread(picture.encode, file_format)
                    extra = {"usage": _NO_USAGE, "seed": picture.request.seed}
                    yield _event("completed", picture.request, file, file_format, **extra)
            elif isinstance(step, Cancelled):
                raise ProblemError(409, "the job was cancelled", code="cancelled")


def _is_due(step: Progress, index: int, wanted: int) -> bool:
    """Whether the next preview is due: they are spread evenly over the steps before the last."""
    return 0 < step.step < step.total and step.step * (wanted + 1) >= (index + 1) * step.total


def _event(
    kind: str, request: GenerationRequest, file: bytes, file_format: FileFormat, **extra: Any
) -> tuple[str, Mapping[str, Any]]:
    name = f"image_generation.{kind}"
    data = {
        "type": name,
        "b64_json": base64.b64encode(file).decode(),
        **_facts(request, file_format),
        **extra,
    }
    return name, data


def _reencode(jpeg: bytes, file_format: FileFormat) -> bytes:
    if file_format == "jpeg":
        return jpeg
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.save(out, file_format.upper())
    return out.getvalue()

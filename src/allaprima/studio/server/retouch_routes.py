"""Retouching pictures that are kept, or that are sent along, as the page asks for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.retouch import (
    SHIPPED_FINDER,
    SHIPPED_UPSCALER,
    STYLE_NAMES,
    NewBackground,
    Operation,
    Upscale,
    operations_from_json,
)
from allaprima.core.retouch_source import from_file
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.messages import Progress, Queued, RetouchOrder
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import EventStream
from allaprima.studio.server.gallery_routes import to_json
from allaprima.studio.server.jobs import KeptRetouch
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.studio import Studio, StudioDep
from allaprima.studio.server.uploads import decode_base64

router = APIRouter(tags=["studio"])


class RetouchBody(BaseModel):
    """A picture to retouch."""

    model_config = ConfigDict(extra="forbid")
    picture: str | None = None
    """The id of a kept picture."""
    image: str | None = None
    """A picture that is sent along, in base64; one of the two is to be there."""
    operations: list[dict[str, Any]]
    """What to do, in order: objects with the key `operation` and its fields, as files carry them."""
    keep: bool = True
    """Put the result into the gallery, if the picture has a request."""


@router.post("/api/retouch", response_class=Response)
async def retouch(body: RetouchBody, http: Request, studio: StudioDep) -> Response:
    """Retouch a picture; the answer is a stream of events: queued, progress, then done or cancelled.

    `done` has the `image` in base64 and, where it was kept, its entry as `picture`.
    """
    operations = check_operations(operations_from_json(body.operations), studio)
    picture = await studio.open_pictures(_open, body, studio)
    check_result(picture, operations, studio.settings.caps)
    order = RetouchOrder(picture=picture, operations=operations)
    return EventStream(_events(order, http, studio, keep=body.keep))


@router.get("/api/upscalers")
def upscalers(studio: StudioDep) -> dict[str, Any]:
    """List the upscalers by name, the one that ships first."""
    return {"upscalers": upscaler_names(studio)}


def upscaler_names(studio: Studio) -> list[str]:
    """Return the names of upscalers that may be asked for."""
    return [SHIPPED_UPSCALER, *sorted(studio.upscalers())]


def check_operations(operations: tuple[Operation, ...], studio: Studio) -> tuple[Operation, ...]:
    """Refuse upscalers and other weights that are not in the studio's folders: a client names no file.

    Raises:
        RequestError: there is no such upscaler, finder or style.
    """
    known = {
        "upscaler": upscaler_names(studio), "finder": [SHIPPED_FINDER], "style": list(STYLE_NAMES),
        "network": [],
    }  # fmt: skip
    for operation in operations:
        named = vars(operation.subject) if isinstance(operation, NewBackground) else vars(operation)
        for what, names in known.items():
            if what in named and named[what] not in names:
                expected = ", ".join(names[:20]) or "none, for no such network ships yet"
                raise RequestError(f"got the {what} {str(named[what])[:80]!r}; expected {expected}")
    return operations


def check_result(picture: RetouchedPicture, operations: tuple[Operation, ...], caps: Caps) -> None:
    """Refuse operations after which a picture would be larger than one that may be sent."""
    width, height = picture.image.size
    for operation in operations:
        if isinstance(operation, Upscale):
            width, height = round(width * operation.scale), round(height * operation.scale)
    if width * height > caps.upload_pixels or max(width, height) > caps.upload_side:
        raise RequestError(
            f"got a picture of {width}x{height} pixels to make; expected at most {caps.upload_pixels:,} in all and "
            f"{caps.upload_side:,} a side"
        )


def open_sent(image: str, caps: Caps) -> RetouchedPicture:
    """Return a picture that was sent in base64, with its history; RequestError if it cannot be read."""
    try:
        return from_file(decode_base64(image), max_side=caps.upload_side, max_pixels=caps.upload_pixels)
    except PictureError as error:
        raise RequestError(str(error)) from error


def _open(body: RetouchBody, studio: Studio) -> RetouchedPicture:
    if (body.picture is None) == (body.image is None):
        raise RequestError("got neither or both of picture and image; expected one: an id, or base64")
    if body.image is not None:
        return open_sent(body.image, studio.settings.caps)
    data = studio.gallery.find_png(body.picture or "")
    if data is None:
        raise ProblemError(404, "there is no such picture", code="not_found")
    return from_file(data)


async def _events(
    order: RetouchOrder, http: Request, studio: Studio, *, keep: bool
) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
    async with aclosing(studio.jobs.retouch(order, http, api="page", keep=keep)) as steps:
        async for step in steps:
            if isinstance(step, Queued):
                yield "queued", {"position": step.position}
            elif isinstance(step, Progress):
                yield "progress", {"step": step.step, "total": step.total}
            elif isinstance(step, KeptRetouch):
                file = await asyncio.to_thread(studio.encode, step.picture)
                entry = None if step.entry is None else to_json(step.entry)
                yield "done", {"picture": entry, "image": base64.b64encode(file).decode()}
            else:
                yield "cancelled", {}

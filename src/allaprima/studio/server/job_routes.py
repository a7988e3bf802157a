"""Jobs of whole pictures, with their position and progress, as the page asks for them."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.reference import MAX_REFERENCES
from allaprima.core.request import GenerationRequest, fields_from_json
from allaprima.core.starting_picture import STRENGTH
from allaprima.studio.engine.messages import Done, Progress, Queued
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import EventStream
from allaprima.studio.server.gallery_routes import to_json
from allaprima.studio.server.jobs import Kept, Ticket
from allaprima.studio.server.live_canvas import LiveCanvas
from allaprima.studio.server.studio import Studio, StudioDep
from allaprima.studio.server.uploads import decode_base64, open_reference

router = APIRouter(tags=["studio"])


class InitBody(BaseModel):
    """What is painted over: a picture that is sent, a kept one, or what a kept one was painted over."""

    model_config = ConfigDict(extra="forbid")
    picture: str | None = None
    """A picture file in base64, scaled and cut to the size that is painted."""
    kept: str | None = None
    """The id of a kept picture."""
    under: str | None = None
    """The id of a kept picture whose underpainting is painted over again, with its mask if no other comes along."""
    mask: str | None = None
    """A mask file in base64, of the picture's size: white is painted, or what is transparent."""
    strength: float | None = None
    """0 to 1; None for that of `under`, or else 0.75."""
    full_steps: bool | None = None
    """Take all steps, from the strength's level on, as live frames do; None for as `under` did, or else False."""


class JobBody(BaseModel):
    """A job of whole pictures."""

    model_config = ConfigDict(extra="forbid")
    request: dict[str, Any]
    """The fields of a `GenerationRequest`; one that says all of them is painted as it is."""
    count: int = 1
    """Pictures, with seeds that follow each other."""
    turbo: bool = True
    """Whether turbo may be put on where the request leaves it open."""
    previews: bool = False
    """Send what each step has come to."""
    init: InitBody | None = None
    """What all of them are painted over."""
    references: list[str] = Field(default_factory=list, max_length=MAX_REFERENCES)
    """Picture files in base64 to look at, in bases that do."""


@router.post("/api/jobs", response_class=Response)
async def submit(body: JobBody, http: Request, studio: StudioDep) -> Response:
    """Paint whole pictures; the answer is a stream of events: queued, progress, then done or cancelled."""
    requests = await studio.open_pictures(to_requests, body, studio)
    over = None
    if body.init is not None:
        over = await studio.open_pictures(to_init_image, body.init, requests[0], studio)
    return EventStream(_events(requests, over, http, studio, previews=body.previews))


@router.get("/api/jobs")
async def jobs(studio: StudioDep) -> dict[str, Any]:
    """List all jobs that wait or are painted, in the order in which they came."""
    return {"jobs": [_ticket(ticket) for ticket in studio.jobs.tickets.values()]}


@router.delete("/api/jobs/{name}", status_code=204)
async def cancel(name: str, studio: StudioDep) -> None:
    """Cancel a job."""
    ticket = studio.jobs.tickets.get(name)
    if ticket is None:
        raise ProblemError(404, "there is no such job; it may have ended", code="not_found")
    ticket.cancel()


def to_requests(body: JobBody, studio: Studio) -> list[GenerationRequest]:
    """Return the pictures that `body` asks for."""
    given = fields_from_json(body.request)
    if given.get("seed") is None:
        given.pop("seed", None)
    if body.references:
        files = map(decode_base64, body.references)
        given["references"] = tuple(open_reference(file, studio.settings.caps) for file in files)
    return studio.make_requests(given, body.count, turbo=body.turbo)


def to_init_image(body: InitBody, request: GenerationRequest, studio: Studio) -> InitImage:
    """Return what `body` says is painted over, at the size of `request`.

    Raises:
        RequestError: a picture or the mask cannot be used, or it is not said which picture.
    """
    if sum(each is not None for each in (body.picture, body.kept, body.under)) != 1:
        raise RequestError("got an init with no picture, or several; expected one of picture, kept and under")
    canvas, size = LiveCanvas(studio.settings.caps), (request.width, request.height)
    strength, full_steps = STRENGTH, False
    if body.under is not None:
        under = studio.gallery.require_init_image(body.under)
        strength, full_steps = under.strength, under.full_steps
        canvas.set_init_image(under)
    else:
        sent = body.picture
        canvas.set_picture(decode_base64(sent) if sent else studio.gallery.require_png(body.kept or ""), size)
    if body.mask is not None:
        canvas.set_mask(decode_base64(body.mask))
    over = canvas.to_init_image(size, strength if body.strength is None else body.strength)
    assert over is not None
    return replace(over, full_steps=full_steps if body.full_steps is None else body.full_steps)


def _ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "family": ticket.api,
        "prompt": ticket.requests[0].prompt if ticket.requests else "",
        "pictures": max(1, len(ticket.requests)),
        "position": ticket.position,
        "share": round(ticket.share, 4),
        "remarks": [] if ticket.progress is None else list(ticket.progress.remarks),
        "submitted_ms": int(ticket.submitted_s * 1000),
    }


async def _events(
    requests: list[GenerationRequest],
    over: InitImage | None,
    http: Request,
    studio: Studio,
    *,
    previews: bool,
) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
    kept: list[dict[str, Any]] = []
    run = studio.jobs.run(requests, http, api="page", init_image=over, previews=previews)
    async with aclosing(run) as steps:
        async for step in steps:
            if isinstance(step, Queued):
                yield "queued", {"position": step.position}
            elif isinstance(step, Progress):
                preview = None if step.preview is None else base64.b64encode(step.preview).decode()
                yield "progress", {**vars(step), "preview": preview}
            elif isinstance(step, Kept):
                pairs = zip(step.entries, step.pictures, strict=True)
                new = [to_json(entry, picture) for entry, picture in pairs]
                kept += new
                yield "kept", {"pictures": new}
            elif isinstance(step, Done):
                yield "done", {"pictures": kept}
            else:
                yield "cancelled", {}

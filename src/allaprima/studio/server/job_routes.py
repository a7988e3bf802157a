"""Jobs of whole pictures, with their position and progress, as the page asks for them."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from allaprima.core.request import GenerationRequest, fields_from_json
from allaprima.studio.engine.messages import Done, Progress, Queued
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import EventStream
from allaprima.studio.server.gallery_routes import to_json
from allaprima.studio.server.jobs import Kept, Ticket
from allaprima.studio.server.studio import Studio, StudioDep

router = APIRouter(tags=["studio"])


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


@router.post("/api/jobs", response_class=Response)
async def submit(body: JobBody, http: Request, studio: StudioDep) -> Response:
    """Paint whole pictures; the answer is a stream of events: queued, progress, then done or cancelled."""
    return EventStream(_events(to_requests(body, studio), http, studio, previews=body.previews))


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
    return studio.make_requests(given, body.count, turbo=body.turbo)


def _ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "family": ticket.api,
        "prompt": ticket.requests[0].prompt,
        "pictures": len(ticket.requests),
        "position": ticket.position,
        "share": round(ticket.share, 4),
        "submitted_ms": int(ticket.submitted_s * 1000),
    }


async def _events(
    requests: list[GenerationRequest], http: Request, studio: Studio, *, previews: bool
) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
    kept: list[dict[str, Any]] = []
    async with aclosing(studio.jobs.run(requests, http, api="page", previews=previews)) as steps:
        async for step in steps:
            if isinstance(step, Queued):
                yield "queued", {"position": step.position}
            elif isinstance(step, Progress):
                preview = None if step.preview is None else base64.b64encode(step.preview).decode()
                yield "progress", {**vars(step), "preview": preview}
            elif isinstance(step, Kept):
                pairs = zip(step.entries, step.pictures, strict=True)
                new = [to_json(entry, picture.remarks) for entry, picture in pairs]
                kept += new
                yield "kept", {"pictures": new}
            elif isinstance(step, Done):
                yield "done", {"pictures": kept}
            else:
                yield "cancelled", {}

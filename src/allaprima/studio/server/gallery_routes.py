"""The page's own routes: pictures and their entries, jobs with their position, what the studio has."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from allaprima import __version__
from allaprima.core.errors import RequestError
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import SUFFIXES
from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.messages import MAX_LIVE_STEPS, Progress, Queued
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.event_stream import EventStream
from allaprima.studio.server.gallery import MAX_PAGE, GalleryEntry
from allaprima.studio.server.jobs import Kept, Ticket
from allaprima.studio.server.lora_cards import LoraCard
from allaprima.studio.server.security import unsigned
from allaprima.studio.server.studio import Studio, StudioDep, live_defaults, pick_seed

router = APIRouter(tags=["studio"])

THUMBNAIL_SIDE = 256
PREVIEW_SUFFIXES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MAX_PREVIEW_BYTES = 8 * 2**20
_FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
_FILE = re.compile(r"([0-9a-f-]{1,40})\.(png|jpeg|jpg|webp|thumbnail)")


class JobBody(BaseModel):
    """A job of whole pictures."""

    model_config = ConfigDict(extra="forbid")
    request: dict[str, Any]
    """A `GenerationRequest`; without a seed a random one is taken."""
    count: int = 1
    """Pictures, with seeds that follow each other."""
    previews: bool = False
    """Send what each step has come to."""


@router.get("/api/config")
def config(studio: StudioDep) -> dict[str, Any]:
    """What there is to choose from, and the bounds."""
    caps = studio.settings.caps
    return {
        "version": __version__,
        "bases": [
            {**asdict(base), "live": live_defaults(base, studio.loras)} for base in studio.bases.values()
        ],
        "caps": {
            "pixels": caps.pixels,
            "steps": caps.steps,
            "count": caps.count,
            "live_steps": MAX_LIVE_STEPS,
            "messages_per_s": caps.messages_per_s,
        },
        "login": studio.settings.token is not None,
    }


@router.get("/api/loras")
def loras(studio: StudioDep) -> dict[str, Any]:
    """The LoRAs, by name."""
    return {"loras": [_lora(card) for card in studio.loras.all()]}


@router.post("/api/loras/refresh")
def refresh_loras(studio: StudioDep) -> dict[str, Any]:
    """Look at the folder of LoRAs again."""
    return loras(studio)


@router.get("/api/loras/preview", response_class=Response)
def lora_preview(name: Annotated[str, Query(max_length=200)], studio: StudioDep) -> Response:
    """The picture that lies beside a LoRA."""
    card = studio.loras.find(name)
    path = None if card is None else card.preview
    kind = None if path is None else PREVIEW_SUFFIXES.get(path.suffix.lower())
    if path is None or kind is None or path.stat().st_size > MAX_PREVIEW_BYTES:
        raise ProblemError(404, "there is no picture beside that LoRA", code="not_found")
    return Response(path.read_bytes(), media_type=kind, headers={"cache-control": "private, max-age=300"})


@router.get("/api/gallery")
def find(
    studio: StudioDep,
    query: Annotated[str, Query(max_length=400)] = "",
    before: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> dict[str, Any]:
    """Kept pictures, the newest first; `next` is the `before` of the following page, `total` counts all pages."""
    entries = studio.gallery.search(query, before=before, limit=limit)
    more = entries[-1].id if len(entries) == limit else None
    return {
        "pictures": [to_json(entry) for entry in entries],
        "next": more,
        "total": studio.gallery.count(query),
    }


@router.get("/api/gallery/{name}")
def entry(name: str, studio: StudioDep) -> dict[str, Any]:
    """One kept picture with its request."""
    return to_json(_require(studio, name))


@router.delete("/api/gallery/{name}", status_code=204)
def delete(name: str, studio: StudioDep) -> None:
    """Delete a picture for good."""
    if not studio.gallery.delete(name):
        raise ProblemError(404, "there is no such picture", code="not_found")


@router.get("/pictures/{file}", response_class=Response)
def picture(file: str, studio: StudioDep) -> Response:
    """A kept picture as ID.png (the file itself), ID.jpeg, ID.webp or ID.thumbnail."""
    match = _FILE.fullmatch(unsigned(file))
    data = studio.gallery.find_png(match[1]) if match else None
    if match is None or data is None:
        raise ProblemError(404, "there is no such picture", code="not_found")
    kind = match[2]
    if kind == "thumbnail":
        return Response(_thumbnail(data), media_type="image/jpeg", headers=_FOREVER)
    file_format = SUFFIXES[f".{kind}"]
    if file_format != "png":
        data = _to_picture(data, _require(studio, match[1])).encode(file_format)
    return Response(data, media_type=f"image/{file_format}", headers=_FOREVER)


@router.post("/api/jobs", response_class=Response)
async def submit(body: JobBody, http: Request, studio: StudioDep) -> Response:
    """Paint whole pictures; the answer is a stream of events: queued, progress, then done or cancelled."""
    values = dict(body.request)
    if not 1 <= body.count <= studio.settings.caps.count:
        raise RequestError(f"got {body.count} pictures; expected 1 to {studio.settings.caps.count}")
    if values.get("seed") is None:
        values["seed"] = pick_seed(None, body.count)
    first = GenerationRequest.from_json(values)
    requests = [
        GenerationRequest.from_json({**values, "seed": first.seed + number}) for number in range(body.count)
    ]
    studio.jobs.check(requests)
    return EventStream(_events(requests, http, studio, previews=body.previews))


@router.get("/api/jobs")
async def jobs(studio: StudioDep) -> dict[str, Any]:
    """All jobs that wait or are painted, in the order in which they came."""
    return {"jobs": [_ticket(ticket) for ticket in studio.jobs.tickets.values()]}


@router.delete("/api/jobs/{name}", status_code=204)
async def cancel(name: str, studio: StudioDep) -> None:
    """Cancel a job."""
    ticket = studio.jobs.tickets.get(name)
    if ticket is None:
        raise ProblemError(404, "there is no such job; it may have ended", code="not_found")
    ticket.cancel()


def to_json(entry: GalleryEntry) -> dict[str, Any]:
    """Return what clients see of an entry."""
    return {
        "id": entry.id,
        "created_ms": entry.created_ms,
        "width": entry.width,
        "height": entry.height,
        "request": entry.request.to_json(),
        "url": f"/pictures/{entry.id}.png",
        "thumbnail": f"/pictures/{entry.id}.thumbnail",
    }


def _require(studio: Studio, name: str) -> GalleryEntry:
    entry = studio.gallery.find_entry(name)
    if entry is None:
        raise ProblemError(404, "there is no such picture", code="not_found")
    return entry


def _lora(card: LoraCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.name,
        "trigger_words": list(card.trigger_words),
        "steps": card.steps,
        "guidance": card.guidance,
        "preview": card.preview is not None,
    }


def _ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "family": ticket.family,
        "prompt": ticket.requests[0].prompt,
        "pictures": len(ticket.requests),
        "position": ticket.position,
        "share": round(ticket.share, 4),
        "submitted_ms": int(ticket.submitted_s * 1000),
    }


async def _events(
    requests: list[GenerationRequest], http: Request, studio: Studio, *, previews: bool
) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
    async with aclosing(studio.jobs.run(requests, http, family="page", previews=previews)) as steps:
        async for step in steps:
            if isinstance(step, Queued):
                yield "queued", {"position": step.position}
            elif isinstance(step, Progress):
                preview = None if step.preview is None else base64.b64encode(step.preview).decode()
                yield (
                    "progress",
                    {
                        "picture": step.picture,
                        "pictures": step.pictures,
                        "step": step.step,
                        "total": step.total,
                        "preview": preview,
                    },
                )
            elif isinstance(step, Kept):
                yield "done", {"pictures": [to_json(entry) for entry in step.entries]}
            else:
                yield "cancelled", {}


def _thumbnail(png: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


def _to_picture(png: bytes, entry: GalleryEntry) -> Picture:
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        rgb = image.convert("RGB")
        return Picture(request=entry.request, width=rgb.width, height=rgb.height, rgb=rgb.tobytes())

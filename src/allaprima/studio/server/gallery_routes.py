"""The page's own routes for kept pictures, for LoRAs, and for what the studio has."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from PIL import Image
from starlette.responses import JSONResponse, Response

from allaprima import __version__
from allaprima.core.errors import OutputError, RequestError
from allaprima.core.infotext import parse_size
from allaprima.core.init_image import InitImage
from allaprima.core.layout_json import painted_to_json
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import SUFFIXES
from allaprima.core.picture_opening import DAMAGED
from allaprima.core.report_place import report_path
from allaprima.core.request import MAX_PROMPT_CHARS, MAX_SIDE_PX
from allaprima.studio.engine.messages import MAX_LIVE_STEPS
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.flipbook_routes import MAX_PAGES, MAX_PIXELS
from allaprima.studio.server.gallery import MAX_PAGE, GalleryEntry
from allaprima.studio.server.live_messages import PROTOCOL
from allaprima.studio.server.lora_cards import LoraCard
from allaprima.studio.server.report_routes import files_of_reports
from allaprima.studio.server.security import unsigned
from allaprima.studio.server.sizes import FittedSize
from allaprima.studio.server.studio import BaseCard, Studio, StudioDep

router = APIRouter(tags=["studio"])

THUMBNAIL_SIDE = 256
PREVIEW_SUFFIXES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MAX_PREVIEW_BYTES = 8 * 2**20
_FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
_PNG_BEGINS, _PNG_ENDS = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_LOG = logging.getLogger(__name__)
_FILE = re.compile(r"([0-9a-f-]{1,40})\.(png|jpeg|jpg|webp|thumbnail)")


@router.get("/api/config")
def config(studio: StudioDep) -> dict[str, Any]:
    """Return what there is to choose from, and the bounds."""
    caps = studio.settings.caps
    return {
        "version": __version__,
        "bases": [_base(base, studio) for base in studio.bases.values()],
        "caps": {
            "prompt_chars": MAX_PROMPT_CHARS,
            "side": MAX_SIDE_PX,
            "pixels": caps.pixels,
            "steps": caps.steps,
            "count": caps.count,
            "live_steps": MAX_LIVE_STEPS,
            "messages_per_s": caps.messages_per_s,
            "live_picture_bytes": caps.live_picture_bytes,
            "flipbook": {"pages": MAX_PAGES, "pixels": MAX_PIXELS, "bytes": caps.upload_bytes * 5 // 8},
        },
        "live_protocol": PROTOCOL,
        "login": studio.settings.token is not None,
    }


@router.get("/api/loras")
def loras(studio: StudioDep) -> JSONResponse:
    """List the LoRAs by name."""
    # Written at once: what FastAPI would look through first may be ten thousand.
    reports = files_of_reports(studio.reports)
    return JSONResponse({"loras": [_lora(card, reports) for card in studio.loras.all()]})


@router.post("/api/loras/refresh")
def refresh_loras(studio: StudioDep) -> JSONResponse:
    """Look at the folder of LoRAs again."""
    return loras(studio)


@router.get("/api/loras/preview", response_class=Response)
def lora_preview(name: Annotated[str, Query(max_length=200)], studio: StudioDep) -> Response:
    """Return the picture that lies beside a LoRA."""
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
    """List kept pictures, the newest first; `next` is the `before` of the next page, `total` counts all pages."""
    entries = studio.gallery.search(query, before=before, limit=limit)
    more = entries[-1].id if len(entries) == limit else None
    return {"pictures": [*map(to_json, entries)], "next": more, "total": studio.gallery.count(query)}


@router.get("/api/gallery/{name}")
def entry(name: str, studio: StudioDep) -> dict[str, Any]:
    """Return one kept picture with its request, and how strongly it was painted over what is kept with it."""
    found = _require(studio, name)
    over = studio.gallery.find_init_image(name) if found.underpainted else None
    return {**to_json(found), "init": None if over is None else _facts(over, name)}


@router.get("/api/gallery/{name}/init", response_class=Response)
def init(name: str, studio: StudioDep) -> Response:
    """Return the picture that a kept one was painted over, as a PNG."""
    over = _require_init_image(studio, name)
    return _png("RGB", over, over.rgb)


@router.get("/api/gallery/{name}/mask", response_class=Response)
def mask(name: str, studio: StudioDep) -> Response:
    """Return the mask with which a kept picture was painted, as a grey PNG: white was painted."""
    over = _require_init_image(studio, name)
    if over.mask is None:
        raise ProblemError(404, "that picture was painted without a mask", code="not_found")
    return _png("L", over, over.mask)


@router.delete("/api/gallery/{name}", status_code=204)
def delete(name: str, studio: StudioDep) -> None:
    """Delete a picture for good."""
    try:
        deleted = studio.gallery.delete(name)
    except OutputError as error:
        _LOG.warning("a picture cannot be deleted: %s", error)
        raise ProblemError(507, "the picture cannot be deleted: its folder is closed to the server") from None
    if not deleted:
        raise ProblemError(404, "there is no such picture", code="not_found")


@router.get("/pictures/{file}", response_class=Response)
def picture(
    file: str, studio: StudioDep, size: Annotated[str | None, Query(max_length=20)] = None
) -> Response:
    """Return a kept picture as ID.png (the file itself), ID.jpeg, ID.webp or ID.thumbnail, or scaled to a `size`."""
    match = _FILE.fullmatch(unsigned(file))
    data = studio.gallery.find_png(match[1]) if match else None
    if match is None or data is None:
        raise ProblemError(404, "there is no such picture", code="not_found")
    if not (data.startswith(_PNG_BEGINS) and data.endswith(_PNG_ENDS)):
        raise ProblemError(410, "the picture's file is damaged", code="damaged")
    kind = match[2]
    try:
        return _picture(studio, data, match[1], kind, size)
    except DAMAGED as error:
        if isinstance(error, RequestError):
            raise
        raise ProblemError(410, "the picture's file is damaged", code="damaged") from error


def _picture(studio: Studio, data: bytes, name: str, kind: str, size: str | None) -> Response:
    if kind == "thumbnail":
        return Response(_thumbnail(data), media_type="image/jpeg", headers=_FOREVER)
    file_format = SUFFIXES[f".{kind}"]
    if file_format != "png" or size is not None:
        shown = _to_picture(data, _require(studio, name))
        if size is not None:
            asked = parse_size(size)
            studio.settings.caps.check_size(*asked)
            shown = FittedSize(asked=asked).show(shown)
        data = studio.encode(shown, file_format)
    return Response(data, media_type=f"image/{file_format}", headers=_FOREVER)


def to_json(entry: GalleryEntry, picture: Picture | None = None) -> dict[str, Any]:
    """Return what clients see of an entry, with remarks, LoRAs and layout of the `picture` if it was just painted."""
    told: dict[str, Any] = {}
    if picture is not None:
        layout = picture.painted_layout
        told = {
            "remarks": list(picture.remarks),
            "loras": [lora.to_json() for lora in picture.loras],
            "painted_layout": None if layout is None else painted_to_json(layout),
        }
    return {
        "id": entry.id,
        "created_ms": entry.created_ms,
        "width": entry.request.width,
        "height": entry.request.height,
        "request": entry.request.to_json(),
        "url": f"/pictures/{entry.id}.png",
        "thumbnail": f"/pictures/{entry.id}.thumbnail",
        "underpainted": entry.underpainted,
        **{name: said for name, said in told.items() if said},
    }


def _require(studio: Studio, name: str) -> GalleryEntry:
    entry = studio.gallery.find_entry(name)
    if entry is None:
        raise ProblemError(404, "there is no such picture", code="not_found")
    return entry


def _require_init_image(studio: Studio, name: str) -> InitImage:
    over = studio.gallery.find_init_image(name)
    if over is None:
        _require(studio, name)
        raise ProblemError(404, "nothing is kept that this picture was painted over", code="not_found")
    return over.whole


def _facts(over: InitImage, name: str) -> dict[str, Any]:
    place = f"/api/gallery/{name}"
    return {
        "strength": over.strength,
        "full_steps": over.full_steps,
        "url": f"{place}/init",
        "mask": None if over.mask is None else f"{place}/mask",
    }


def _png(mode: str, over: InitImage, levels: bytes) -> Response:
    out = io.BytesIO()
    Image.frombytes(mode, (over.width, over.height), levels).save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png", headers=_FOREVER)


def _base(base: BaseCard, studio: Studio) -> dict[str, Any]:
    live = studio.complete_live({"base": base.name})
    return {
        "name": base.name,
        "family": base.family,
        **asdict(base.defaults),
        "live": {**live, "loras": [asdict(use) for use in live["loras"]]},
        "schedules": base.schedules,
        "fixed_size": base.fixed_size,
        "english_only": base.english_only,
        "reads_references": base.reads_references,
        "reads_layout": base.reads_layout,
        "starters": base.starters,
    }


def _lora(card: LoraCard, reports: Collection[str]) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.name,
        "trigger_words": list(card.trigger_words),
        "steps": card.steps,
        "guidance": card.guidance,
        "schedule": card.schedule,
        "accelerator": card.accelerator,
        "preview": card.preview is not None,
        "report": report_path(Path(), card.name).name in reports,
    }


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

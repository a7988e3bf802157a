"""A typing session as one animated picture: the frames that the page was shown, bound together as WebP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from allaprima.core.errors import RequestError
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.studio import StudioDep
from allaprima.studio.server.uploads import decode_base64, fit, open_upload

router = APIRouter(tags=["studio"])

MAX_PAGES = 240
MAX_PIXELS = 2**27
"""Of all pages together: 240 of 740 x 740, or 128 of 1024 x 1024."""
QUALITY = 85
_WITH_MARGIN = 2
# One book at a time: binding takes a core, and people are typing.
_BINDER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flipbook")


class Page(BaseModel):
    """One picture of the book."""

    model_config = ConfigDict(extra="forbid")
    jpeg: str = Field(min_length=1)
    """In base64."""
    duration_ms: Annotated[int, Field(ge=20, le=10_000)]
    """How long it is seen."""


class FlipbookBody(BaseModel):
    """The pages, in order."""

    model_config = ConfigDict(extra="forbid")
    frames: list[Page] = Field(min_length=1, max_length=MAX_PAGES)


@router.post("/api/flipbooks", response_class=Response)
async def bind(body: FlipbookBody, studio: StudioDep) -> Response:
    """Return an animated WebP, as large as the last page; nothing is kept here."""
    loop = asyncio.get_running_loop()
    book = await loop.run_in_executor(_BINDER, bind_pages, body.frames, studio.settings.caps)
    return Response(book, media_type="image/webp")


def bind_pages(frames: list[Page], caps: Caps) -> bytes:
    """Return the animated WebP of `frames`.

    Raises:
        RequestError: a page is no picture, or there are too many pixels in all.
    """
    last = open_upload(decode_base64(frames[-1].jpeg), caps)
    width, height = last.size
    if width * height * len(frames) > MAX_PIXELS:
        raise RequestError(
            f"got {len(frames)} pages of {width}x{height} pixels; expected at most {MAX_PIXELS:,} pixels in all"
        )
    pages = _open(frames, width, height, caps)
    out = io.BytesIO()
    next(pages).save(
        out,
        "WEBP",
        save_all=True,
        append_images=pages,
        duration=[page.duration_ms for page in frames],
        loop=0,
        quality=QUALITY,
        method=2,
    )
    return out.getvalue()


def _open(frames: list[Page], width: int, height: int, caps: Caps) -> Iterator[Image.Image]:
    """Open each page when it is wanted, so that only one is in memory."""
    for page in frames:
        image = open_upload(decode_base64(page.jpeg), caps)
        yield fit(image, width, height, _WITH_MARGIN)

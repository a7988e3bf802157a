"""A typing session as one animated picture: the frames that the page was shown, bound together as WebP."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from allaprima.core.errors import RequestError
from allaprima.studio.server.connections import watch_client
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.security import client_of
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.studio import StudioDep
from allaprima.studio.server.uploads import decode_base64, fit, open_upload, upload_size

router = APIRouter(tags=["studio"])

MAX_PAGES = 240
MAX_PIXELS = 2**27
"""Of all pages together, each as large as the last: 240 of 740 x 740, or 128 of 1024 x 1024."""
_MAX_OPENED = 2
"""How many times MAX_PIXELS the pages may have at their own sizes: pictures may become smaller in a session."""
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
async def bind(body: FlipbookBody, http: Request, studio: StudioDep) -> Response:
    """Return an animated WebP, as large as the last page; nothing is kept, and work ends when the client leaves."""
    left = threading.Event()
    with studio.books.hold(client_of(http)):
        watch = asyncio.create_task(watch_client(http, left.set))
        try:
            book = await asyncio.get_running_loop().run_in_executor(
                _BINDER, bind_pages, body.frames, studio.settings.caps, left
            )
        finally:
            left.set()
            watch.cancel()
    return Response(book, media_type="image/webp")


def bind_pages(frames: list[Page], caps: Caps, left: threading.Event) -> bytes:
    """Return the animated WebP of `frames`; ProblemError at the next page once the client has `left`."""
    _check_waits(left)
    files = [decode_base64(page.jpeg) for page in frames]
    # A page is a picture that was painted here, so it is no larger than those.
    caps = replace(caps, upload_pixels=min(caps.pixels, caps.upload_pixels))
    sizes = [upload_size(file, caps) for file in files]
    width, height = sizes[-1]
    _check_pixels(len(files), width * height * len(files), MAX_PIXELS)
    _check_pixels(len(files), sum(across * down for across, down in sizes), _MAX_OPENED * MAX_PIXELS)
    pages = _open(files, sizes[-1], caps, left)
    out = io.BytesIO()
    durations = [page.duration_ms for page in frames]
    settings = {"duration": durations, "loop": 0, "quality": QUALITY, "method": 2}
    next(pages).save(out, "WEBP", save_all=True, append_images=pages, **settings)
    return out.getvalue()


def _open(
    files: list[bytes], size: tuple[int, int], caps: Caps, left: threading.Event
) -> Iterator[Image.Image]:
    """Open each page when it is wanted, so that only one is in memory."""
    for file in files:
        _check_waits(left)
        yield fit(open_upload(file, caps), *size, _WITH_MARGIN)


def _check_pixels(num_pages: int, pixels: int, most: int) -> None:
    if pixels > most:
        raise RequestError(
            f"got {num_pages} pages of {pixels:,} pixels in all; expected at most {most:,}: send fewer pages"
        )


def _check_waits(left: threading.Event) -> None:
    if left.is_set():
        raise ProblemError(499, "the client left, and its flipbook was given up", code="left")

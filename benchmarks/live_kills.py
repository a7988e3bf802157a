"""What a gallery loses when its studio is killed while clients paint."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import httpx2
from benchmarks.harness import Row
from benchmarks.live_studio import PROMPT, OpenStudio, open_studio

from allaprima.core.errors import PictureError
from allaprima.core.picture_files import read_request
from allaprima.studio.server.gallery import Gallery

LONGEST_S = 120.0
"""Within which the first picture must have been reported."""


def count_losses(weights: Path | None, folder: Path, times: int) -> list[Row]:
    """Kill the studio while 8 clients paint, again and again; count what the gallery lost or broke."""
    reported: set[str] = set()
    for number in range(times):
        with open_studio(weights, folder) as studio:
            reported |= asyncio.run(_paint_until_killed(studio, 0.1 * number))
    gallery = Gallery.open(folder)
    lost = sum(gallery.find_png(name) is None for name in reported)
    broken = sum(_is_broken(path) for path in folder.glob("*.png"))
    broken += len(gallery) != len(list(folder.glob("*.png")))
    gallery.close()
    return [
        Row(name=f"{times} kills, gallery entries lost", value=lost, unit="", must=0),
        Row(name=f"{times} kills, gallery entries broken", value=broken, unit="", must=0),
        Row(name=f"{times} kills, pictures reported", value=len(reported), unit="", better="higher"),
    ]


async def _paint_until_killed(studio: OpenStudio, seconds: float) -> set[str]:
    reported: set[str] = set()
    body = {"prompt": PROMPT, "n": 2, "steps": 2, "guidance": 1.0, "response_format": "url"}
    begun = asyncio.Event()

    async def paint(client: httpx2.AsyncClient) -> None:
        with suppress(httpx2.HTTPError):
            while True:
                answer = await client.post(f"{studio.url}/v1/images/generations", json=body)
                if answer.status_code == 200:
                    urls = [str(one["url"]) for one in answer.json()["data"]]
                    reported.update(url.rpartition("/")[2].partition(".")[0] for url in urls)
                    begun.set()

    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        work = asyncio.gather(*(paint(client) for _ in range(8)))
        # Without a picture to lose, a kill would tell nothing.
        await asyncio.wait_for(begun.wait(), LONGEST_S)
        await asyncio.sleep(seconds)
        studio.process.send_signal(signal.SIGKILL)
        await work
    return reported


def _is_broken(path: Path) -> bool:
    try:
        read_request(path)
    except PictureError:
        return True
    return False

"""How soon is a new picture, or a stroke on it, painted over, against a keystroke? Over the live socket, by turns.

A keystroke, a whole picture and a stroke follow each other, twelve a second or as soon as the last was painted. So
whatever else the machine does falls on all three alike, and none waits for another.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

from benchmarks.harness import Row
from benchmarks.live_studio import PROMPT
from benchmarks.typing_script import KEYSTROKES_PER_SECOND, answer_ms, percentile, type_text
from PIL import Image, ImageDraw

SIDE, STROKE = 256, 48
STRENGTH = 0.6
KINDS = ("keystroke", "new picture", "stroke")


class Painted(Protocol):
    """One live session: what the measurement needs of a typist."""

    sent: dict[int, float]
    came: list[tuple[float, int]]

    async def ask(self, number: int, text: str, **settings: object) -> None:
        """Send a prompt."""

    async def send(self, number: int, message: bytes) -> None:
        """Send any other message."""

    async def wait_for(self, number: int) -> bool:
        """Wait for a frame of that message or a later one."""


async def measure_pictures(
    typist: Painted, habits: dict[str, Any], rounds: int, details: dict[str, Any]
) -> list[Row]:
    """Return the rows of `rounds` of each, in one session that paints over a picture throughout."""
    settings = {**habits, "steps": 4, "strength": STRENGTH}
    texts, files, chosen = type_text(rounds), _draw_pictures(), random.Random(0)
    sends: dict[str, Callable[[int], Awaitable[None]]] = {
        "keystroke": lambda number: typist.ask(number, next(texts), **settings),
        "new picture": lambda number: typist.send(number, _whole(number, next(files))),
        "stroke": lambda number: typist.send(number, _stroke(number, chosen)),
    }
    await typist.send(1, _whole(1, next(files)))
    await typist.ask(2, PROMPT, **settings)
    await typist.wait_for(2)
    kinds = {3 + count: KINDS[count % len(KINDS)] for count in range(rounds * len(KINDS))}
    for number, kind in kinds.items():
        due = typist.sent[number - 1] + 1.0 / KEYSTROKES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await sends[kind](number)
        await typist.wait_for(number)
    waits = answer_ms(typist.sent, typist.came)
    by_kind: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, wait in zip(typist.sent, waits, strict=True):
        if number in kinds:
            by_kind[kinds[number]].append(wait)
    details["pictures"] = {
        kind: {"p95_ms": percentile(of, 95), "sent": len(of)} for kind, of in by_kind.items()
    }
    halves = {kind: percentile(of, 50) for kind, of in by_kind.items()}
    return [
        *(Row(name=f"{kind} to frame over a picture, p50", value=halves[kind], unit="ms") for kind in KINDS),
        *(
            Row(
                name=f"{kind} to frame against a keystroke, p50",
                value=halves[kind] / halves["keystroke"],
                unit="x",
                must=1.3,
                aim=1.1,
            )
            for kind in KINDS[1:]
        ),
    ]


def _draw_pictures() -> Iterator[bytes]:
    """Yield PNG files of blots on a slope of colours, as a canvas sends them, all different."""
    chosen = random.Random(0)
    while True:
        image = Image.linear_gradient("L").convert("RGB")
        draw = ImageDraw.Draw(image)
        for _ in range(12):
            x, y, size = (chosen.randrange(SIDE) for _ in range(3))
            colour = tuple(chosen.randrange(256) for _ in range(3))
            draw.ellipse((x - size // 4, y - size // 4, x + size // 4, y + size // 4), fill=colour)
        out = io.BytesIO()
        image.save(out, "PNG", compress_level=1)
        yield out.getvalue()


def _whole(number: int, file: bytes) -> bytes:
    return _pack({"sequence": number, "picture": {}}, file)


def _stroke(number: int, chosen: random.Random) -> bytes:
    x, y = (chosen.randrange(SIDE - STROKE) for _ in range(2))
    region = {"x": x, "y": y, "width": STROKE, "height": STROKE, "raw": True}
    levels = bytes([*(chosen.randrange(256) for _ in range(3)), 255]) * STROKE**2
    return _pack({"sequence": number, "picture": region}, levels)


def _pack(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + data

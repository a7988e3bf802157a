"""How soon is a keystroke seen? A studio in a process of its own, and people who type at it over the live socket.

    python -m benchmarks.live --json            eight minutes on two quiet cores
    python -m benchmarks.live --json --quick    one minute; its numbers mean little
    python -m benchmarks.live --json --init     a minute: nothing but pictures that are painted over, against typing

Times are from sending a message to having a frame's bytes, as a browser on the same machine would see them. What the
server adds is the difference to what the engine says it took, frame by frame. All wear what the page wears: turbo,
where there is one, and the slider is its weight.
"""

from __future__ import annotations

import asyncio
import json
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.harness import RESULTS, Row, report
from benchmarks.live_kills import count_losses
from benchmarks.live_pictures import measure_pictures
from benchmarks.live_studio import PROMPT, OpenStudio, open_studio
from benchmarks.typing_script import KEYSTROKES_PER_SECOND, answer_ms, percentile, type_text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SOON_MS = 150.0
MOVES_PER_SECOND = 60.0
"""Of a slider under a mouse."""
EARLY_FRAMES = 100
_LOST_S = 60.0


@dataclass(kw_only=True)
class Amounts:
    """How much is done of everything."""

    keystrokes: int
    frames: int
    clients: int
    client_keystrokes: int
    memory_frames: int
    kills: int
    rounds: int


QUICK = Amounts(
    keystrokes=24, frames=20, clients=8, client_keystrokes=12, memory_frames=200, kills=2, rounds=1
)


def main(
    weights: Annotated[Path | None, typer.Option(help="Folder of weights. Default: those that ship.")] = None,
    keystrokes: Annotated[int, typer.Option(help="Keystrokes of one typist.")] = 360,
    frames: Annotated[int, typer.Option(help="Frames of a moving slider.")] = 300,
    clients: Annotated[int, typer.Option(help="People who type at once.")] = 50,
    client_keystrokes: Annotated[int, typer.Option(help="Keystrokes of each of them.")] = 60,
    memory_frames: Annotated[
        int, typer.Option(help="Frames in all after which memory is looked at again.")
    ] = 10_000,
    kills: Annotated[int, typer.Option(help="How often the studio is killed while it paints.")] = 20,
    rounds: Annotated[
        int, typer.Option(help="Keystrokes, pictures and strokes over a picture, as many of each.")
    ] = 100,
    init: Annotated[bool, typer.Option("--init", help="Nothing but pictures that are painted over.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Little of everything, to see that it works.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    given = Amounts(
        keystrokes=keystrokes,
        frames=frames,
        clients=clients,
        client_keystrokes=client_keystrokes,
        memory_frames=memory_frames,
        kills=kills,
        rounds=rounds,
    )
    amounts = QUICK if quick else given
    details: dict[str, Any] = {"amounts": asdict(amounts)}
    with tempfile.TemporaryDirectory() as folder:
        with open_studio(weights, Path(folder) / "gallery") as studio:
            asyncio.run(_slide(studio, EARLY_FRAMES))  # warm
            early = studio.resident_mib
            if init:
                rows = asyncio.run(_pictures(studio, amounts.rounds, details))
                report("live-init", rows, details, as_json=as_json, folder=results)
                return
            rows = asyncio.run(_live(studio, amounts.keystrokes, amounts.frames, details))
            rows += asyncio.run(_pictures(studio, amounts.rounds, details))
            if amounts.memory_frames:
                rows += asyncio.run(_memory(studio, early, amounts.memory_frames))
            if amounts.clients:
                rows += asyncio.run(_many_typists(studio, amounts.clients, amounts.client_keystrokes))
        if amounts.kills:
            rows += count_losses(weights, Path(folder) / "killed", amounts.kills)
    report("live", rows, details, as_json=as_json, folder=results)


@dataclass
class Typist:
    """One live session over the socket."""

    socket: ClientConnection
    sent: dict[int, float] = field(default_factory=dict)
    """When each message was sent."""
    came: list[tuple[float, int]] = field(default_factory=list)
    """When each frame came, and of which prompt."""
    added_ms: list[float] = field(default_factory=list)
    """What the way there and back added to the engine's own time, by first frame."""
    engine_ms: list[float] = field(default_factory=list)
    """The engine's own time, by first frame."""
    errors: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, number: int, text: str, **settings: object) -> None:
        """Send a prompt."""
        self.sent[number] = time.perf_counter()
        await self.socket.send(json.dumps({"sequence": number, "prompt": text, "settings": settings}))

    async def send(self, number: int, message: bytes) -> None:
        """Send any other message."""
        self.sent[number] = time.perf_counter()
        await self.socket.send(message)

    async def listen(self) -> None:
        """Take frames until the socket is closed."""
        with suppress(ConnectionClosed):
            async for message in self.socket:
                self._take(time.perf_counter(), message)

    async def wait_for(self, number: int) -> bool:
        """Wait for a frame of that prompt or a later one; return whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOST_S):
                while not self.errors and not (self.came and self.came[-1][1] >= number):
                    self._news.clear()
                    await self._news.wait()
        return bool(self.came) and self.came[-1][1] >= number

    def _take(self, now: float, message: str | bytes) -> None:
        self._news.set()
        if isinstance(message, str):
            self.errors += 1
            return
        header = json.loads(message[4 : 4 + struct.unpack_from(">I", message)[0]])
        self.came.append((now, header["sequence"]))
        took = header["timings_ms"].get("total")
        if took is not None and not header["dropped"]:
            self.engine_ms.append(took)
            self.added_ms.append(1e3 * (now - self.sent[header["sequence"]]) - took)


async def open_typist(studio: OpenStudio) -> tuple[Typist, asyncio.Task[None]]:
    socket = await connect(studio.url.replace("http", "ws", 1) + "/live", proxy=None, compression=None)
    typist = Typist(socket)
    return typist, asyncio.create_task(typist.listen())


async def close_typist(studio: OpenStudio, typist: Typist, listening: asyncio.Task[None]) -> None:
    await typist.socket.close()
    await listening
    studio.seen.append(len(typist.came))


async def type_at(
    typist: Typist, texts: Sequence[str], habits: Mapping[str, Any], delay_s: float = 0.0
) -> None:
    begun = time.perf_counter() + delay_s
    for number, text in enumerate(texts, start=1):
        await asyncio.sleep(max(0.0, begun + (number - 1) / KEYSTROKES_PER_SECOND - time.perf_counter()))
        await typist.ask(number, text, **{**habits, "steps": 4})


async def _live(studio: OpenStudio, keystrokes: int, frames: int, details: dict[str, Any]) -> list[Row]:
    typist, listening = await open_typist(studio)
    texts = list(type_text(keystrokes))
    await type_at(typist, texts, studio.habits)
    await typist.wait_for(keystrokes)
    await close_typist(studio, typist, listening)
    waits = answer_ms(typist.sent, typist.came)
    soon = 100.0 * sum(wait <= SOON_MS for wait in waits) / len(waits)
    seconds, slider = await _slide(studio, frames)
    added, own = percentile(slider.added_ms, 50), percentile(slider.engine_ms, 50)
    details["slider"] = {"engine_ms": own, "added_ms": added}
    moved = await _drag(studio, frames)
    return [
        Row(name="keystroke to frame, p50", value=percentile(waits, 50), unit="ms", must=60.0, aim=20.0),
        Row(name="keystroke to frame, p95", value=percentile(waits, 95), unit="ms", must=120.0, aim=33.0),
        Row(name="painted within 150 ms", value=soon, unit="%", must=99.0, aim=100.0, better="higher"),
        Row(name="frames per second, slider", value=moved, unit="1/s", must=20.0, aim=60.0, better="higher"),
        Row(name="frames per second, one by one", value=frames / seconds, unit="1/s", better="higher"),
        Row(name="server over the bare engine", value=100.0 * added / own, unit="%", must=25.0, aim=10.0),
    ]


async def _pictures(studio: OpenStudio, rounds: int, details: dict[str, Any]) -> list[Row]:
    typist, listening = await open_typist(studio)
    rows = await measure_pictures(typist, studio.habits, rounds, details)
    await close_typist(studio, typist, listening)
    return rows


async def _slide(studio: OpenStudio, frames: int) -> tuple[float, Typist]:
    """Ask for another seed as soon as the last frame came; return the seconds and who asked."""
    typist, listening = await open_typist(studio)
    started = time.perf_counter()
    for number in range(1, frames + 1):
        await typist.ask(number, PROMPT, **{**studio.habits, "steps": 1, "seed": number})
        await typist.wait_for(number)
    seconds = time.perf_counter() - started
    await close_typist(studio, typist, listening)
    return seconds, typist


async def _drag(studio: OpenStudio, frames: int) -> float:
    """Move a slider as a mouse does, whether frames come or not; return the frames per second."""
    typist, listening = await open_typist(studio)
    moves = int(frames * MOVES_PER_SECOND / 20.0)
    begun = time.perf_counter()
    for number in range(1, moves + 1):
        await asyncio.sleep(max(0.0, begun + number / MOVES_PER_SECOND - time.perf_counter()))
        await typist.ask(number, PROMPT, **{**studio.habits, "steps": 1, **_moved(studio.habits, number)})
    await typist.wait_for(moves)
    await close_typist(studio, typist, listening)
    return len(typist.came) / (typist.came[-1][0] - begun)


def _moved(habits: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Where the slider is: the weight of the LoRA that is worn, back and forth; the seed where none is."""
    if not habits["loras"]:
        return {"seed": number}
    weight = round(abs((number % 200) - 100) / 100, 2)
    return {"loras": [{**habits["loras"][0], "weight": weight}]}


async def _many_typists(studio: OpenStudio, clients: int, keystrokes: int) -> list[Row]:
    opened = [await open_typist(studio) for _ in range(clients)]
    # Spread over a keystroke's time, as people are.
    delays = [number / clients / KEYSTROKES_PER_SECOND for number in range(clients)]
    texts = [list(type_text(keystrokes, seed=number)) for number in range(clients)]
    typing = [
        type_at(one, text, studio.habits, delay)
        for (one, _), text, delay in zip(opened, texts, delays, strict=True)
    ]
    await asyncio.gather(*typing)
    reached = await asyncio.gather(*(typist.wait_for(keystrokes) for typist, _ in opened))
    for typist, listening in opened:
        await close_typist(studio, typist, listening)
    waits = [wait for typist, _ in opened for wait in answer_ms(typist.sent, typist.came)]
    label = f"{clients} typists"
    return [
        Row(name=f"{label}, errors", value=sum(typist.errors for typist, _ in opened), unit="", must=0),
        Row(name=f"{label}, lost final states", value=reached.count(False), unit="", must=0),
        Row(name=f"{label}, keystroke to frame, p95", value=percentile(waits, 95), unit="ms", aim=1500.0),
    ]


async def _memory(studio: OpenStudio, early: float, frames: int) -> list[Row]:
    """Paint until the studio has sent `frames` frames in all; `early` is what it took after the first hundred."""
    await _slide(studio, max(1, frames - sum(studio.seen)))
    name = f"memory after {frames} frames against after {EARLY_FRAMES}"
    grown = 100.0 * (studio.resident_mib / early - 1.0)
    return [Row(name=name, value=grown, unit="%", must=2.0, aim=0.0)]


if __name__ == "__main__":
    typer.run(main)

"""How soon is a keystroke painted, and how many frames a second, by the engine alone?

    python -m benchmarks.live_engine --json            two minutes on two quiet cores
    python -m benchmarks.live_engine --json --quick    a few seconds; its numbers mean little

A script of keystrokes is typed at twelve a second, with slips and corrections. Times are from `LiveSession.ask` to
the frame's bytes in the callback; `benchmarks.live` is the same with server and socket.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.harness import RESULTS, Row, report
from benchmarks.typing_script import answer_ms, pace, percentile, type_text

from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import Frame, LiveFailed, LivePrompt, LiveSettings, LiveUpdate

PROMPT = "a cat on a rooftop at sunset"
SOON_MS = 150.0
_LOST_S = 60.0


def main(
    weights: Annotated[Path | None, typer.Option(help="Folder of weights. Default: those that ship.")] = None,
    keystrokes: Annotated[int, typer.Option(help="Keystrokes of one typist.")] = 360,
    frames: Annotated[int, typer.Option(help="Frames of a moving slider.")] = 300,
    clients: Annotated[int, typer.Option(help="People who type at once.")] = 50,
    client_keystrokes: Annotated[int, typer.Option(help="Keystrokes of each of them.")] = 60,
    memory_frames: Annotated[int, typer.Option(help="Frames after which memory is looked at again.")] = 2000,
    quick: Annotated[
        bool, typer.Option("--quick", help="Little of everything, to see that it works.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    if quick:
        keystrokes, frames, clients, client_keystrokes, memory_frames = 24, 20, 8, 12, 200
    details: dict[str, Any] = {"keystrokes": keystrokes, "frames": frames, "clients": clients}
    with Engine(lambda base: Painter.load(base, folder=weights)) as engine:
        rows = _warm_up(engine)
        rows += _one_typist(engine, keystrokes, details)
        rows += _slider(engine, frames, details)
        if clients:
            rows += _many_typists(engine, clients, client_keystrokes, details)
        if memory_frames:
            rows += _memory(engine, memory_frames)
        stats = engine.stats()
    details["counters"] = dict(stats.counters)
    details["latency_counts"] = list(stats.latency_counts)
    report("live-engine", rows, details, as_json=as_json, folder=results)


@dataclass
class Watcher:
    """One live session, watched."""

    came: list[tuple[float, int]] = field(default_factory=list)
    """When each frame came, and of which prompt."""
    failed: list[str] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    """Milliseconds by stage of each first frame."""
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, update: LiveUpdate) -> None:
        """Take an update from the engine's thread."""
        now = time.perf_counter()
        with self._news:
            if isinstance(update, LiveFailed):
                self.failed.append(update.message)
            else:
                self.came.append((now, update.sequence))
                self._note(update)
            self._news.notify_all()

    def _note(self, frame: Frame) -> None:
        if frame.steps == 1 and not frame.repeated:
            self.stages.append(dict(frame.timings_ms))

    def wait_for(self, sequence: int) -> bool:
        """Wait for a frame of that prompt or a later one; return whether it came."""
        with self._news:
            return self._news.wait_for(
                lambda: bool(self.failed) or bool(self.came and self.came[-1][1] >= sequence), _LOST_S
            )


def _ask(session: LiveSession, number: int, text: str, steps: int = 4, seed: int = 0) -> None:
    session.ask(LivePrompt(sequence=number, prompt=text, settings=LiveSettings(steps=steps, seed=seed)))


def _warm_up(engine: Engine) -> list[Row]:
    watcher = Watcher()
    session = engine.open_live(watcher)
    started = time.perf_counter()
    for number in range(1, 21):
        _ask(session, number, PROMPT, seed=number)
        watcher.wait_for(number)
    session.close()
    return [
        Row(name="bare, first frame after loading", value=1e3 * (watcher.came[0][0] - started), unit="ms")
    ]


def _one_typist(engine: Engine, keystrokes: int, details: dict[str, Any]) -> list[Row]:
    watcher = Watcher()
    session = engine.open_live(watcher)
    texts = list(type_text(keystrokes))
    sent = pace(texts, partial(_ask, session))
    watcher.wait_for(len(texts))
    session.close()
    waits = answer_ms(sent, watcher.came)
    soon = 100.0 * sum(wait <= SOON_MS for wait in waits) / len(waits)
    details["one typist"] = {
        "median_ms": {
            stage: percentile([one[stage] for one in watcher.stages], 50) for stage in watcher.stages[0]
        },
        "frames": len(watcher.came),
        "keystrokes": len(texts),
    }
    return [
        Row(
            name="bare, keystroke to frame, p50", value=percentile(waits, 50), unit="ms", must=60.0, aim=20.0
        ),
        Row(
            name="bare, keystroke to frame, p95", value=percentile(waits, 95), unit="ms", must=120.0, aim=33.0
        ),
        Row(
            name="bare, keystrokes painted within 150 ms",
            value=soon,
            unit="%",
            must=99.0,
            aim=100.0,
            better="higher",
        ),
    ]


def _slider(engine: Engine, frames: int, details: dict[str, Any]) -> list[Row]:
    """Ask for the next frame as soon as the last one came: first another seed, then another text each time."""
    rows = []
    texts = list(type_text(frames, seed=1))
    moves: dict[str, Callable[[LiveSession, int], None]] = {
        "seed slider": lambda session, number: _ask(session, number, PROMPT, steps=1, seed=number),
        "text": lambda session, number: _ask(session, number, texts[number - 1], steps=1, seed=1),
    }
    for name, move in moves.items():
        watcher = Watcher()
        session = engine.open_live(watcher)
        started = time.perf_counter()
        for number in range(1, frames + 1):
            move(session, number)
            watcher.wait_for(number)
        seconds = time.perf_counter() - started
        session.close()
        must, aim = (20.0, 60.0) if name == "seed slider" else (None, None)
        rows.append(
            Row(
                name=f"bare, frames per second, {name}",
                value=frames / seconds,
                unit="1/s",
                must=must,
                aim=aim,
                better="higher",
            )
        )
        details[name] = {
            stage: percentile([one[stage] for one in watcher.stages], 50) for stage in watcher.stages[0]
        }
    return rows


def _many_typists(engine: Engine, clients: int, keystrokes: int, details: dict[str, Any]) -> list[Row]:
    watchers = [Watcher() for _ in range(clients)]
    sessions = [engine.open_live(watcher) for watcher in watchers]
    texts = [list(type_text(keystrokes, seed=number)) for number in range(clients)]
    sent: list[dict[int, float]] = [{} for _ in range(clients)]

    def type_in(number: int) -> None:
        # Spread over a keystroke's time, as people are.
        sent[number] = pace(texts[number], partial(_ask, sessions[number]), delay_s=number / clients / 12)

    threads = [threading.Thread(target=type_in, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reached = [watcher.wait_for(keystrokes) and not watcher.failed for watcher in watchers]
    for session in sessions:
        session.close()
    finals = [
        answer_ms({keystrokes: sent[number][keystrokes]}, watcher.came)[0]
        for number, watcher in enumerate(watchers)
    ]
    waits = [
        wait for number, watcher in enumerate(watchers) for wait in answer_ms(sent[number], watcher.came)
    ]
    details["many typists"] = {"frames": sum(len(watcher.came) for watcher in watchers), "clients": clients}
    label = f"bare, {clients} typists"
    return [
        Row(name=f"{label}, errors", value=sum(len(watcher.failed) for watcher in watchers), unit="", must=0),
        Row(name=f"{label}, lost final states", value=reached.count(False), unit="", must=0),
        Row(name=f"{label}, keystroke to frame, p50", value=percentile(waits, 50), unit="ms"),
        Row(name=f"{label}, keystroke to frame, p95", value=percentile(waits, 95), unit="ms", aim=1500.0),
        Row(name=f"{label}, last text, p95", value=percentile(finals, 95), unit="ms", aim=1500.0),
    ]


def _memory(engine: Engine, frames: int) -> list[Row]:
    watcher = Watcher()
    session = engine.open_live(watcher)
    early = 0.0
    for number in range(1, frames + 1):
        _ask(session, number, f"{PROMPT} {number}", steps=1, seed=number)
        watcher.wait_for(number)
        if number == min(100, frames):
            early = _resident_mib()
    session.close()
    grown = 100.0 * (_resident_mib() / early - 1.0)
    return [
        Row(
            name=f"bare, memory after {frames} frames against after 100",
            value=grown,
            unit="%",
            must=2.0,
            aim=0.0,
        )
    ]


def _resident_mib() -> float:
    """What the process has in memory now; where Linux does not tell, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    typer.run(main)

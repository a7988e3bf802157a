"""Several replicas on one machine: what a killed one costs, and whether a core each is worth more than all for one.

    python -m benchmarks.cluster --json

One of two replicas is killed (-9) in the middle of 200 jobs and 20 live sessions, all of which type on. Then whole
pictures by two replicas with half of the cores each are counted against those by one with all of them, in turns, so
that other programs on the machine weigh on both alike.
"""

from __future__ import annotations

import os
import queue
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.harness import RESULTS, Row, report, run_stages
from benchmarks.live_shared import FREE

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter
from allaprima.studio.cluster.cluster import Cluster
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    Frame,
    JobUpdate,
    LivePrompt,
    LiveSettings,
    LiveUpdate,
)

app = typer.Typer()
TURBO = (LoraUse(name="turbo"),)
JOBS, SESSIONS = 200, 20
PICTURES, ROUNDS = 60, 5
TYPING_S = 0.25
"""Between two keystrokes of a session."""
WAIT_S = 600.0


def load(base: str, device: str | None) -> Painter:
    """Return the shipped base as the studio loads it, but for the warm-up."""
    return Painter.load(base, device=device)


def plan() -> ReplicaPlan:
    """Return what each replica is made of."""
    return ReplicaPlan(painter_factory=load, bases=("vignette",))


def picture(seed: int) -> GenerationRequest:
    """Return a request as most people make them: four steps with turbo."""
    return GenerationRequest(
        prompt="a cat on a rooftop at sunset", steps=4, guidance=1.0, seed=seed, loras=TURBO
    )


class Typist:
    """A live session that types on, and remembers when its frames came."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.number, self.sequence = number, 0
        self.frames: list[tuple[float, int]] = []
        self.session = cluster.open_live(self._hear)

    def type(self) -> None:
        """Ask for another picture."""
        self.sequence += 1
        settings = LiveSettings(seed=self.number, steps=1, loras=TURBO)
        prompt = f"a cat and {self.sequence} foxes"
        self.session.ask(LivePrompt(sequence=self.sequence, prompt=prompt, settings=settings))

    def is_back(self, moment: float, sequence: int) -> bool:
        """Return whether its last frame came after `moment`, of a prompt that is not older than `sequence`."""
        at, shown = self.frames[-1]
        return at > moment and shown >= sequence

    def back_after(self, moment: float, sequence: int) -> float:
        """Return how many seconds after `moment` the first such frame came."""
        return min(at for at, shown in self.frames if at > moment and shown >= sequence) - moment

    def _hear(self, update: LiveUpdate) -> None:
        if isinstance(update, Frame):
            self.frames.append((time.monotonic(), update.sequence))


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; RuntimeError if it takes too long."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the cluster does not get on")
        time.sleep(0.005)


def kill_one(jobs: int, sessions: int = SESSIONS) -> list[Row]:
    """Kill one of two replicas under load, and count what that costs."""
    with closing(Cluster(plan(), replicas=2)) as cluster:
        cluster.begin()
        wait_for(lambda: len(cluster.pids) == 2)
        typists = [Typist(cluster, number) for number in range(sessions)]
        for typist in typists:
            typist.type()
        wait_for(lambda: all(typist.frames for typist in typists))
        ends: list[JobUpdate] = []
        for seed in range(jobs):
            cluster.submit([picture(seed)], partial(_note_end, ends))
        _type_until(typists, lambda: len(ends) >= jobs // 4)
        victim, marks = cluster.pids[0], [typist.sequence for typist in typists]
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        _type_until(typists, lambda: all(map(Typist.is_back, typists, repeat(killed), marks)))
        _type_until(typists, lambda: len(ends) >= jobs)
        wait_for(lambda: len(cluster.pids) == 2)
        replaced_s = time.monotonic() - killed
    back = [typist.back_after(killed, mark) for typist, mark in zip(typists, marks, strict=True)]
    lost = jobs - sum(isinstance(end, Done) and len(end.pictures) == 1 for end in ends)
    name = f"one of two replicas killed amid {jobs} jobs and {sessions} sessions"
    return [
        Row(name=f"{name}: jobs lost", value=lost, unit="jobs", must=0),
        Row(name=f"{name}: last session back", value=max(back), unit="s", must=3.0, aim=1.0),
        Row(name=f"{name}: sessions back, median", value=statistics.median(back), unit="s"),
        Row(name=f"{name}: another paints in its place, at the latest", value=replaced_s, unit="s"),
    ]


def _type_until(typists: list[Typist], condition: Callable[[], bool]) -> None:
    """Have all type until `condition` holds."""
    due = 0.0

    def typed() -> bool:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + TYPING_S
            for typist in typists:
                typist.type()
        return condition()

    wait_for(typed)


def _note_end(ends: list[JobUpdate], update: JobUpdate) -> None:
    if isinstance(update, Done | Failed | Cancelled):
        ends.append(update)


def compare(pictures: int, rounds: int = ROUNDS) -> list[Row]:
    """Count the pictures a second of one replica with all cores, and of two with half of them each."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with closing(Cluster(plan(), replicas=1)) as one, closing(Cluster(plan(), replicas=2)) as two:
        for count, cluster in ((1, one), (2, two)):
            cluster.begin()
            wait_for(lambda count=count, cluster=cluster: len(cluster.pids) == count)  # type: ignore[misc]
            _rate(cluster, 2 * count)  # the first pictures hang up the LoRA
        for _ in range(rounds):
            for count, cluster in ((1, one), (2, two)):
                rates[count].append(_rate(cluster, pictures))
    alone, together = (statistics.median(rates[count]) for count in (1, 2))
    paired = statistics.median(b / a for a, b in zip(rates[1], rates[2], strict=True))
    return [
        Row(
            name="whole pictures, one replica with all cores", value=alone, unit="pictures/s", better="higher"
        ),
        Row(
            name="whole pictures, two replicas with half each",
            value=together,
            unit="pictures/s",
            better="higher",
        ),
        Row(name="two replicas against one", value=paired, unit="times", must=1.0, aim=1.3, better="higher"),
    ]


def _rate(cluster: Cluster, pictures: int) -> float:
    ended: queue.SimpleQueue[JobUpdate] = queue.SimpleQueue()
    started = time.monotonic()
    for seed in range(pictures):
        cluster.submit([picture(seed)], ended.put)
    left = pictures
    while left:
        left -= isinstance(ended.get(timeout=WAIT_S), Done | Failed | Cancelled)
    return pictures / (time.monotonic() - started)


@app.command()
def main(
    share: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Of the jobs and pictures, for a busy machine.")
    ] = 1.0,
    results: Annotated[Path, typer.Option(help="Folder that gets the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON.")] = False,
) -> None:
    """Measure what a lost replica costs, and whether two are quicker than one."""
    for variable in FREE:  # replicas are to choose for themselves
        os.environ.pop(variable, None)
    jobs, pictures = max(8, round(JOBS * share)), max(4, round(PICTURES * share))
    rows, whole = run_stages([partial(kill_one, jobs), partial(compare, pictures)])
    report("cluster", rows, {"pictures": pictures}, as_json=as_json, folder=results)
    if not whole:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()

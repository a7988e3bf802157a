"""The engine with its thread and the real classes, waiting for events and never for a while."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.studio.engine.watched import WatchedBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import BusyError, RequestError, WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Frame,
    JobUpdate,
    LivePrompt,
    LiveSettings,
    LiveUpdate,
    Progress,
)

PATIENCE_S = 60.0
"""Only a broken engine takes so long."""


class Mailbox:
    """Updates of a session or job, and a way to wait for one."""

    def __init__(self) -> None:
        self.updates: list[LiveUpdate | JobUpdate] = []
        self.threads: set[str] = set()
        self._news = threading.Condition()

    def __call__(self, update: LiveUpdate | JobUpdate) -> None:
        with self._news:
            self.updates.append(update)
            self.threads.add(threading.current_thread().name)
            self._news.notify_all()

    def wait_for(self, wanted: Callable[[LiveUpdate | JobUpdate], bool]) -> LiveUpdate | JobUpdate:
        with self._news:
            assert self._news.wait_for(lambda: any(map(wanted, self.updates)), PATIENCE_S)
            return next(filter(wanted, self.updates))

    def final(self, sequence: int) -> Frame:
        found = self.wait_for(lambda one: isinstance(one, Frame) and one.sequence == sequence and one.final)
        assert isinstance(found, Frame)
        return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("engine") / "weights")


@pytest.fixture
def engine(weights: Path) -> Iterator[Engine]:
    with Engine(lambda base: Painter.load(base, folder=weights, device="cpu")) as running:
        yield running
    assert "allaprima-engine" not in {thread.name for thread in threading.enumerate()}


def test_live_frames_and_whole_pictures_are_the_painters(engine: Engine, weights: Path) -> None:
    live, whole = Mailbox(), Mailbox()
    session = engine.open_live(live)
    request = GenerationRequest(prompt="a dog", steps=3, seed=5)
    job = engine.submit([request], whole)
    session.ask(LivePrompt(sequence=1, prompt="a cat", settings=LiveSettings(steps=4, seed=2)))
    frame = live.final(1)
    assert job.wait(PATIENCE_S)
    painter = Painter.load(folder=weights, device="cpu")
    picture = painter.paint(GenerationRequest(prompt="a cat", steps=4, seed=2, guidance=1.0))
    assert frame.jpeg == picture.encode("jpeg")
    done = whole.updates[-1]
    assert isinstance(done, Done)
    assert done.pictures == (painter.paint(request),)
    assert live.threads | whole.threads == {"allaprima-engine"}
    assert {"total", "text", "denoise", "decode", "encode"} <= set(
        next(one.timings_ms for one in live.updates if isinstance(one, Frame))
    )


def test_the_last_word_of_a_fast_typist_is_always_painted(engine: Engine) -> None:
    boxes = [Mailbox() for _ in range(4)]
    sessions = [engine.open_live(box) for box in boxes]
    text = "a cat on a rooftop"
    for length in range(1, len(text) + 1):
        for session in sessions:
            session.ask(LivePrompt(sequence=length, prompt=text[:length]))
    for box in boxes:
        assert box.final(len(text)).prompt == text
        frames = [one for one in box.updates if isinstance(one, Frame)]
        assert [frame.frame for frame in frames] == list(range(1, len(frames) + 1))
        sequences = [frame.sequence for frame in frames]
        assert sequences == sorted(sequences)
        painted = {frame.sequence for frame in frames}
        # Every prompt was shown or is accounted for as overtaken.
        assert len(painted) + sum(frame.dropped for frame in frames) == len(text)


def test_closing_in_the_middle_leaves_no_thread_and_no_job(weights: Path) -> None:
    engine = Engine(lambda base: Painter.load(base, folder=weights, device="cpu"))
    engine.start()
    running, waiting, live = Mailbox(), Mailbox(), Mailbox()
    long = GenerationRequest(prompt="a cat", steps=1000)
    first = engine.submit([long], running)
    second = engine.submit([long], waiting)
    session = engine.open_live(live)
    session.ask(LivePrompt(sequence=1, prompt="a cat"))
    running.wait_for(lambda one: isinstance(one, Progress) and one.step >= 1)
    engine.close()
    engine.close()
    assert running.updates[-1] == waiting.updates[-1] == Cancelled()
    assert first.wait(0)
    assert second.wait(0)
    assert session.closed
    assert not engine.alive
    count = len(live.updates)
    session.ask(LivePrompt(sequence=2, prompt="a dog"))
    assert len(live.updates) == count
    with pytest.raises(BusyError, match="closing"):
        engine.submit([long], running)
    with pytest.raises(BusyError, match="closing"):
        engine.open_live(live)


def test_an_engine_that_was_never_started_cancels_what_it_was_given() -> None:
    engine = Engine(lambda _: Painter(base=WatchedBase()))
    box = Mailbox()
    job = engine.submit([GenerationRequest(prompt="a cat")], box)
    engine.close()
    assert box.updates == [Cancelled()]
    assert job.wait(0)


def test_weights_that_cannot_be_read_are_told_by_start(tmp_path: Path) -> None:
    engine = Engine(lambda base: Painter.load(base, folder=tmp_path, device="cpu"))
    with pytest.raises(WeightsError):
        engine.start()
    assert not engine.alive
    with pytest.raises(RuntimeError, match="started once"):
        engine.start()


def test_a_job_may_cancel_itself_from_its_callback(engine: Engine) -> None:
    box = Mailbox()

    def on_update(update: JobUpdate) -> None:
        box(update)
        if isinstance(update, Progress):
            job.cancel()

    job = engine.submit([GenerationRequest(prompt="a cat", steps=1000)], on_update)
    assert job.wait(PATIENCE_S)
    assert box.updates[-1] == Cancelled()


def test_a_job_is_checked_before_it_waits(engine: Engine) -> None:
    box = Mailbox()
    with pytest.raises(RequestError, match="got a job of 0 pictures"):
        engine.submit([], box)
    with pytest.raises(RequestError, match="expected 1 to 64"):
        engine.submit([GenerationRequest(prompt="a cat")] * 65, box)
    with pytest.raises(RequestError, match="got base 'sdxl'; expected vignette"):
        engine.submit([GenerationRequest(prompt="a cat", base="sdxl")], box)
    session = engine.open_live(box)
    with pytest.raises(RequestError, match="got base 'sdxl'"):
        session.ask(LivePrompt(sequence=1, prompt="a cat", settings=LiveSettings(base="sdxl")))
    with pytest.raises(ValueError, match="at least one name"):
        Engine(lambda _: Painter(base=WatchedBase()), bases=())


def test_the_engines_types_load_no_torch() -> None:
    code = "import allaprima.studio.engine.engine, sys; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_base_that_is_a_path_is_asked_for_by_its_name() -> None:
    loaded: list[str] = []

    def load(base: str) -> Painter:
        loaded.append(base)
        return Painter(base=WatchedBase(name="xl"))

    with Engine(load, bases=("/home/alice/xl.safetensors",)) as engine:
        assert engine.bases == ("xl",)
        told = Mailbox()
        engine.submit([GenerationRequest(prompt="a cat", base="/home/alice/xl.safetensors", steps=1)], told)
        done = told.wait_for(lambda update: isinstance(update, Done))
    assert loaded == ["/home/alice/xl.safetensors"]
    assert isinstance(done, Done)
    assert done.pictures[0].request.base == LiveSettings(base="/home/alice/xl.safetensors").base == "xl"

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from typing import Any

import pytest
from PIL import Image
from tests.studio.cluster.replicas import wait_for

from allaprima.core.errors import LoraError, WeightsError
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.retouch import CutOut, Upscale
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.cluster.link import Link, read_record, write_record
from allaprima.studio.cluster.wire import JobOrder, JobWord, LiveOrder, LoadFailure, Pulse
from allaprima.studio.engine.messages import LivePrompt, LiveSettings, Painted, RetouchOrder
from allaprima.studio.engine.stats import COUNTERS, Snapshot

GREY = InitImage(width=8, height=8, rgb=bytes(192), mask=b"\xff" * 64)
REQUEST = GenerationRequest(
    prompt="a cat",
    loras=(LoraUse(name="ink", weight=0.5),),
    references=(Reference.from_image(Image.new("RGB", (64, 64), "red")),),
)
SNAPSHOT = Snapshot(
    counters=dict.fromkeys(COUNTERS, 1), sessions=1, jobs_waiting=0, jobs_running=0,
    latency_counts=(1, 2), latency_sum_ms=3.0,
)  # fmt: skip
RECORDS = (
    JobOrder(number=1, requests=(REQUEST,), init_image=GREY),
    LiveOrder(
        number=2, prompt=LivePrompt(sequence=1, prompt="a cat", settings=LiveSettings(width=8, height=8))
    ),
    JobWord(number=1, update=Painted(pictures=(Picture(request=REQUEST, width=1, height=1, rgb=b"abc"),))),
    Pulse(snapshot=SNAPSHOT),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_arrive_as_they_left(record: object) -> None:
    assert read_record(write_record(record)) == record


def test_the_pixels_of_references_and_of_any_image_file_arrive() -> None:
    order = read_record(write_record(RECORDS[0]))
    assert order.requests[0].references[0].pixels == REQUEST.references[0].pixels
    picture = RetouchedPicture(image=Image.new("RGBA", (4, 4), "red"), operations=(CutOut(),))
    orders = RetouchOrder(picture=picture, operations=(Upscale(scale=2),))
    arrived = read_record(write_record(orders))
    assert arrived.picture.image.tobytes() == picture.image.tobytes()
    assert arrived.operations == (Upscale(scale=2),)


def test_errors_arrive_with_the_field_that_is_to_blame() -> None:
    told = read_record(write_record(LoadFailure(error=WeightsError("got nothing", field="base")))).error
    assert (type(told), str(told), told.field) == (WeightsError, "got nothing", "base")
    assert isinstance(read_record(write_record(LoraError("no"))), LoraError)


class Spiteful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/spite",)


@pytest.mark.parametrize(
    "evil",
    [
        pickle.dumps(Spiteful()),
        pickle.dumps(threading.Thread),
        b"callaprima.core.files\nwrite_whole\n.",
        b"callaprima.core.errors\nannotations\n.",
        b"callaprima.core.files\nPath\n.",
    ],
)
def test_what_arrives_names_nothing_but_parts_of_records(evil: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="no part of any record"):
        read_record(evil)


def pair() -> tuple[Link, Link]:
    here, there = multiprocessing.Pipe()
    return Link(here), Link(there)


def test_what_was_put_before_closing_arrives_and_then_both_ends_are_told() -> None:
    here, there = pair()
    for record in RECORDS:
        here.put(record)
    here.close()
    here.close()
    assert list(there.records()) == list(RECORDS)
    assert list(here.records()) == []
    there.put(RECORDS[0])  # nobody is there, which is no error


def test_a_full_line_keeps_nobody_waiting_and_ends_when_the_reader_goes() -> None:
    here, there = pair()
    big = InitImage(width=1024, height=1024, rgb=bytes(3 * 1024 * 1024))
    for number in range(8):
        here.put(JobOrder(number=number, requests=(REQUEST,), init_image=big))
    there._hang_up()
    assert list(here.records()) == []
    wait_for(lambda: not here._writer.is_alive())
    there.close()


@pytest.mark.parametrize("sent", [b"nonsense", pickle.dumps(Spiteful())])
def test_nonsense_ends_the_line(sent: bytes, caplog: Any) -> None:
    connection, there = multiprocessing.Pipe()
    link = Link(there)
    connection.send_bytes(sent)
    assert list(link.records()) == []
    assert "no record" in caplog.text
    with pytest.raises(EOFError):
        connection.recv_bytes()
    connection.close()


def test_a_record_that_cannot_be_written_ends_the_line(caplog: Any) -> None:
    here, there = pair()
    here.put(lambda: None)
    assert list(there.records()) == []
    assert "could not be sent" in caplog.text
    here.close()

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.studio.cluster.replicas import load_nothing, load_slow

from allaprima.core.errors import OutputError, WeightsError
from allaprima.core.picture_files import read_request
from allaprima.studio.batch.lines import BatchLine, parse_lines
from allaprima.studio.batch.record import RECORD, BatchRecord
from allaprima.studio.batch.run import paint_batch
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.limits import Limits


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"width": 128, "height": 64, "steps": 1, "guidance": 1.0, **given}


def lines(*prompts: object) -> list[BatchLine]:
    parsed = parse_lines(map(json.dumps, prompts), complete)
    return [line for line in parsed if isinstance(line, BatchLine)]


def engine(limits: Limits | None = None) -> Engine:
    return Engine(lambda base: load_slow(0.0, base, None), limits=limits)


def test_every_line_is_painted_and_what_fails_says_why(tmp_path: Path) -> None:
    asked = lines("a cat", {"prompt": "a", "loras": [{"name": "nowhere"}]}, *(f"dog {n}" for n in range(20)))
    record = BatchRecord(folder=tmp_path)
    with closing(engine()) as paints:
        paint_batch(paints, asked, record, ending=".png", replicas=1)
    assert sorted(record.painted) == [1, *range(3, 23)]
    assert list(record.failed) == [2]
    assert "nowhere" in record.failed[2]
    assert not record.broken
    assert {read_request(path) for path in record.painted.values()} == {
        line.request for line in asked if line.number != 2
    }
    record.save()
    told = [json.loads(line) for line in (tmp_path / RECORD).read_text().splitlines()]
    assert [one["line"] for one in told] == list(range(1, 23))
    assert told[0]["file"] == record.painted[1].name
    assert told[1]["error"] == record.failed[2]


def test_a_studio_with_little_room_loses_no_line(tmp_path: Path) -> None:
    record = BatchRecord(folder=tmp_path)
    with closing(engine(Limits(jobs=4))) as paints:
        paint_batch(paints, lines(*(f"dog {n}" for n in range(9))), record, ending=".png", replicas=1)
    assert len(record.painted) == 9


def test_without_lines_nothing_is_loaded(tmp_path: Path) -> None:
    with closing(engine()) as paints:
        paint_batch(paints, [], BatchRecord(folder=tmp_path), ending=".png", replicas=1)
        assert not paints.alive


def test_a_base_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with (
        closing(Engine(lambda base: load_nothing(base, None))) as paints,
        pytest.raises(WeightsError, match="damaged"),
    ):
        paint_batch(paints, lines("a cat"), BatchRecord(folder=tmp_path), ending=".png", replicas=1)


def test_a_file_that_cannot_be_written_ends_the_batch_and_what_is_painted_stays(tmp_path: Path) -> None:
    asked = lines(*(f"dog {n}" for n in range(6)))
    (tmp_path / f"{asked[3].stem}.png").mkdir()
    record = BatchRecord(folder=tmp_path)
    with closing(engine()) as paints, pytest.raises(OutputError, match="is a folder"):
        paint_batch(paints, asked, record, ending=".png", replicas=1)
    assert sorted(record.painted) == [1, 2, 3]

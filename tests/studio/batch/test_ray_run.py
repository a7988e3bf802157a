from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from tests.studio.batch.test_run import lines
from tests.studio.cluster.replicas import load_slow

from allaprima.core.errors import UserError
from allaprima.core.picture_files import read_request
from allaprima.paint.painter import Painter
from allaprima.studio.batch.ray_run import Row, RowPainter, paint_with_ray
from allaprima.studio.batch.record import BatchRecord


def load(base: str, device: str | None) -> Painter:
    if base == "broken":
        raise RuntimeError("no such thing")
    return load_slow(0.0, base, device)


def row(prompt: object) -> Row:
    (line,) = lines(prompt)
    told = {"stem": line.stem, "request": line.request.to_json()}
    return {"line": line.number, "json": json.dumps(told)}


def test_an_actor_paints_its_rows_and_tells_what_fails(tmp_path: Path) -> None:
    painter = RowPainter(load=load, folder=tmp_path, ending=".png")
    told = json.loads(painter(row("a cat"))["json"])
    assert read_request(tmp_path / told["file"]).prompt == "a cat"
    assert told["error"] == ""
    bad = json.loads(painter(row({"prompt": "a", "loras": [{"name": "nowhere"}]}))["json"])
    assert "nowhere" in bad["error"]
    assert not bad["broken"]
    worse = json.loads(painter(row({"prompt": "a", "base": "broken"}))["json"])
    assert "no such thing" in worse["error"]
    assert worse["broken"]
    assert json.loads(painter(row("a dog"))["json"])["file"]


def test_without_ray_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    painter = RowPainter(load=load, folder=tmp_path, ending=".png")
    record = BatchRecord(folder=tmp_path)
    with pytest.raises(UserError, match=r"allaprima\[cluster\]"):
        paint_with_ray(painter, lines("a cat"), record, address="local", replicas=1, gpus=0.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_data_paints_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # a key would be written into the home folder
    record = BatchRecord(folder=tmp_path)
    painter = RowPainter(load=load, folder=tmp_path, ending=".png")
    asked = lines("a cat", {"prompt": "a", "loras": [{"name": "nowhere"}]}, *(f"dog {n}" for n in range(6)))
    paint_with_ray(painter, asked, record, address="local", replicas=2, gpus=0.0)
    assert sorted(record.painted) == [1, *range(3, 9)]
    assert list(record.failed) == [2]
    assert all(path.is_file() for path in record.painted.values())
    gc.collect()  # its processes' warnings, before they are held against another test

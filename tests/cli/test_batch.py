from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_request


def batch(tmp_path: Path, *lines: object, options: tuple[str, ...] = ()) -> int:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    weights = tmp_path / "weights"
    if not weights.exists():
        write_tiny_vignette(weights)
    return run([
        "batch", str(prompts), "-o", str(tmp_path / "out"), "--weights", str(weights), "--json", *options,
    ])  # fmt: skip


def told(capsys: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return facts


LINE = {"prompt": "a cat", "steps": 1, "guidance": 1.0}


def test_each_line_is_painted_once_and_a_second_run_goes_on(tmp_path: Path, capsys: Any) -> None:
    assert batch(tmp_path, LINE, LINE | {"prompt": "a dog"}) == 0
    first = told(capsys)
    assert (first["painted"], first["skipped"], first["failed"]) == (2, 0, [])
    assert [read_request(Path(path)).prompt for path in first["paths"]] == ["a cat", "a dog"]
    stamp = Path(first["paths"][0]).stat().st_mtime_ns
    assert batch(tmp_path, LINE | {"prompt": "a fox"}, LINE) == 0
    second = told(capsys)
    assert (second["painted"], second["skipped"]) == (1, 1)
    assert second["paths"][1] == first["paths"][0]
    assert Path(first["paths"][0]).stat().st_mtime_ns == stamp


def test_a_bad_line_never_loses_the_good_ones(tmp_path: Path, capsys: Any) -> None:
    lines = LINE, {"prompt": "a", "stepz": 1}, LINE | {"base": "other"}, LINE | {"loras": [{"name": "no"}]}
    assert batch(tmp_path, *lines) == 2
    out = capsys.readouterr()
    facts = json.loads(out.out.splitlines()[-1])
    assert facts["painted"] == 1
    assert [failed["line"] for failed in facts["failed"]] == [2, 3, 4]
    assert "stepz" in facts["failed"][0]["error"]
    assert "expected vignette" in facts["failed"][1]["error"]
    assert "3 lines came to nothing" in facts["error"]
    record = [json.loads(line) for line in Path(facts["record"]).read_text().splitlines()]
    assert [one["line"] for one in record] == [1, 2, 3, 4]
    assert "line 2: " in out.err


def test_what_a_line_says_and_its_picture_does_not_honour_is_told(tmp_path: Path, capsys: Any) -> None:
    assert batch(tmp_path, LINE | {"negative_prompt": "rain"}) == 0
    out = capsys.readouterr()
    facts = json.loads(out.out.splitlines()[-1])
    (remark,) = facts["remarks"]
    assert remark["line"] == 1
    assert remark["remarks"][0] in out.err


def test_the_format_is_that_of_the_files(tmp_path: Path, capsys: Any) -> None:
    assert batch(tmp_path, LINE, options=("--format", "jpeg")) == 0
    assert told(capsys)["paths"][0].endswith(".jpg")


@pytest.mark.parametrize(
    ("content", "reason"), [("", "has no lines"), (None, "No such file"), (b"\xff\xfe", "no text")]
)
def test_a_file_without_lines_is_refused(
    content: str | bytes | None, reason: str, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "p.jsonl"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run(["batch", str(path), "-o", str(tmp_path / "out"), "--json"]) == 2
    assert reason in told(capsys)["error"]


@pytest.mark.slow
def test_replicas_paint_the_same_pictures(tmp_path: Path, capsys: Any) -> None:
    lines = [LINE | {"prompt": f"{count} cats"} for count in range(8)]
    assert batch(tmp_path, *lines) == 0
    alone = [np.asarray(Image.open(path), int) for path in told(capsys)["paths"]]
    for path in (tmp_path / "out").glob("*.png"):
        path.unlink()
    assert batch(tmp_path, *lines, options=("--replicas", "2")) == 0
    facts = told(capsys)
    assert facts["painted"] == 8
    for path, picture in zip(facts["paths"], alone, strict=True):  # in bf16, company changes some levels
        assert np.abs(np.asarray(Image.open(path), int) - picture).mean() <= 1

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allaprima.core.errors import UserError
from allaprima.studio.batch.lines import BadLine, BatchLine, parse_lines, read_lines


def as_given(given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(given)


def parse(*lines: str) -> list[BatchLine | BadLine]:
    return list(parse_lines(lines, as_given))


def painted(*lines: str) -> list[BatchLine]:
    return [line for line in parse(*lines) if isinstance(line, BatchLine)]


def test_a_line_is_a_text_or_a_request() -> None:
    text, fields = painted('"a cat"', "", '{"prompt": "一只狐狸", "seed": 7, "loras": [{"name": "ink"}]}')
    assert text.request.prompt == "a cat"
    assert text.stem.startswith("a-cat-")
    assert (fields.number, fields.request.seed, fields.request.loras[0].name) == (3, 7, "ink")
    assert fields.stem.startswith("一只狐狸-")


def test_the_same_line_comes_to_the_same_picture_wherever_it_stands() -> None:
    (first,) = painted('"a cat"')
    _, later = painted('"a dog"', ' "a cat" ')
    assert (later.stem, later.request) == (first.stem, first.request)
    fields, turned = painted('{"prompt": "a", "steps": 4}', '{"steps": 4, "prompt": "a", "seed": 1}')
    assert fields.stem != turned.stem


def test_a_line_that_is_there_twice_comes_to_two_pictures() -> None:
    one, two = painted('"a cat"', '"a cat"')
    assert one.stem != two.stem
    assert two.request.seed == one.request.seed + 1
    bad = parse(*['{"prompt": "a", "seed": 1}'] * 2)[1]
    assert isinstance(bad, BadLine)
    assert "the same seed again" in bad.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a cat", "which is no JSON"),
        ("[" * 50_000, "which is no JSON"),
        ("{}", "without a prompt"),
        ("7", "expected an object"),
        ("null", "expected an object"),
        ('["a"]', "expected an object"),
        ('{"prompt": "a", "stepz": 4}', "unknown key"),
        ('{"prompt": "a", "steps": "many"}', "steps"),
        ('{"prompt": 7}', "prompt"),
        ('"  "', "the prompt is empty"),
        ('{"prompt": "a", "seed": -1}', "seed"),
        ('"' + "x" * 200_000 + '"', "expected 100,000 at most"),
    ],
)
def test_a_bad_line_says_why_and_leaves_the_others_alone(line: str, reason: str) -> None:
    bad, good = parse(line, '"a cat"')
    assert isinstance(bad, BadLine)
    assert bad.number == 1
    assert reason in bad.reason
    assert isinstance(good, BatchLine)


def test_files_with_a_mark_or_windows_ends_are_read_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes("﻿".encode() + json.dumps("a cat").encode() + b"\r\n")
    assert [line.number for line in parse_lines(read_lines(path), as_given)] == [1]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="no text in UTF-8"):
        read_lines(path)
    with pytest.raises(UserError, match="No such file"):
        read_lines(tmp_path / "nowhere")

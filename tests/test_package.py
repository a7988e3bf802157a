"""What ships: the weights' size and kind, pins that fit the ranges, licences that are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(
    re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.M)
)
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(line for lines in PROJECT["optional-dependencies"].values() for line in lines),
]
MIB = 2**20


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_every_requirement_is_pinned_within_its_range(line: str) -> None:
    requirement = Requirement(line)
    assert Version(PINS[requirement.name]) in requirement.specifier


def test_constraints_hold_pins_and_comments_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [
        line for line in lines if not line.startswith("#") and not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)
    ] == []


def test_weights_are_safetensors_and_fit_in_95_mb() -> None:
    files = [path for path in (ROOT / "src/allaprima/weights").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors"}
    assert sum(path.stat().st_size for path in files) <= 95e6


def test_no_tracked_file_is_heavy_beside_the_weights() -> None:
    folders = ("src", "tests", "docs", "lab-notes", "benchmarks", "recipes")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    heavy = [path for path in files if path.stat().st_size > 2 * MIB and path.suffix != ".safetensors"]
    assert heavy == []


@pytest.mark.parametrize(
    "work",
    [
        "Fluent Emoji",
        "Noto Emoji",
        "Micah Lanier",
        "emojibase",
        "multilingual-e5-small",
        "Universal Sentence Encoder",
        "WordNet 3.1",
        "Chinese Open Wordnet",
        "jieba",
        "CLIP's vocabulary",
    ],
)
def test_notice_names_the_work_and_its_licence(work: str) -> None:
    paragraphs = (ROOT / "NOTICE").read_text(encoding="utf-8").split("\n\n")
    named = [paragraph for paragraph in paragraphs if work in paragraph]
    assert any(re.search("MIT License|Apache License|CC BY|license", paragraph) for paragraph in named)

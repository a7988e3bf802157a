from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
import typer
from benchmarks.proof_api import load_painter
from benchmarks.proof_hashes import Hashed, hash_tensors
from benchmarks.proof_pictures import SMALL, case, paint_cases
from tests.tiny_qwen import write_tiny_qwen

from benchmarks import proof


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Give the other tests their threads back: the proof computes on one."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def write_numbers(path: Path, names: Sequence[str], numbers: Sequence[float]) -> Path:
    """Write a safetensors file of one number a tensor, in this order; safetensors itself would sort them."""
    places = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * index, 4 * index + 4]}
        for index, name in enumerate(names)
    }
    header = json.dumps(places).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(numbers)}f", *numbers))
    return path


def test_hashes_of_tensors_do_not_depend_on_the_order_in_the_file(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "file", "ab", (1, 2))
    turned = write_numbers(tmp_path / "turned", "ba", (2, 1))
    renamed = write_numbers(tmp_path / "renamed", "ba", (1, 2))
    other = write_numbers(tmp_path / "other", "ab", (1, 3))
    assert file.read_bytes() != turned.read_bytes()
    assert hash_tensors(file) == hash_tensors(turned)
    assert hash_tensors(file) != hash_tensors(renamed)
    assert hash_tensors(file, named=False) == hash_tensors(renamed, named=False)
    assert hash_tensors(file, named=False) != hash_tensors(other, named=False)


def test_every_difference_is_named() -> None:
    before = {"same": "0", "changed": "0", "gone": "0"}
    assert list(proof.differences(before, dict(reversed(before.items())))) == []
    now = {"added": "0", "changed": "1", "same": "0"}
    assert list(proof.differences(before, now)) == ["differs: changed", "missing: gone", "new: added"]


def test_the_command_compares_with_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {"cat": "0", "dog": "0"}

    def tiny_pictures(_folder: Path) -> Hashed:
        yield from hashes.items()

    monkeypatch.setattr(proof, "STAGES", {"pictures": (tiny_pictures,), "trainings": ()})

    def run(against: Path | None) -> str:
        proof.main(only="pictures", against=against, results=tmp_path / "results", as_json=True)
        return capsys.readouterr().out

    before = tmp_path / "before.json"
    before.write_text(run(against=None), encoding="utf-8")
    last = json.loads(run(against=before).splitlines()[-1])
    assert last["hashes"] == {"pictures: cat": "0", "pictures: dog": "0"}
    assert last["differences"] == []
    assert proof.read_hashes(before) == proof.read_hashes(Path(last["result"])) == last["hashes"]

    del hashes["cat"]
    hashes["dog"] = "1"
    with pytest.raises(typer.Exit) as ended:
        run(against=before)
    assert ended.value.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["missing: pictures: cat", "differs: pictures: dog"]
    assert json.loads(lines[-1])["differences"] == lines[:2]


def test_a_stage_that_fails_or_repeats_a_name_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def repeating(_folder: Path) -> Hashed:
        yield "cat", "0"
        yield "cat", "0"

    monkeypatch.setattr(proof, "STAGES", {"pictures": (repeating,), "trainings": ()})
    with pytest.raises(typer.Exit) as ended:
        proof.main(results=tmp_path)
    assert ended.value.exit_code == 1
    assert "got 'pictures: cat' twice" in capsys.readouterr().err


def test_pictures_of_a_tiny_qwen_have_the_same_hashes_again(tmp_path: Path) -> None:
    base = write_tiny_qwen(tmp_path / "qwen")
    cases = [
        case("previews", steps=2, previews=True),
        case("over a picture", seeds=(7, 8), strength=0.5),
        case("defaults", schedule="lightning", defaults=True),
    ]
    first, second = (dict(paint_cases("qwen", load_painter(base), cases, **SMALL)) for _ in range(2))
    assert first == second
    assert list(first) == [
        *("qwen, previews, preview 1", "qwen, previews, preview 2", "qwen, previews"),
        "qwen, previews, floats",
        *("qwen, over a picture, seed 7", "qwen, over a picture, seed 8", "qwen, over a picture, floats"),
        *("qwen, defaults", "qwen, defaults, floats"),
    ]
    assert first["qwen, previews, preview 2"] == first["qwen, previews"] != first["qwen, previews, preview 1"]

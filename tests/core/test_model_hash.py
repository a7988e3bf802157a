from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from allaprima.core.model_hash import MAX_KEPT, ModelHash


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "xl.safetensors"
    path.write_bytes(b"weights")
    return path


def digits_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def test_the_first_ten_digits_are_found_and_kept(checkpoint: Path, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "hashes.json"
    assert ModelHash(checkpoint, kept=kept).get(wait=True) == digits_of(checkpoint)
    (key,) = known = json.loads(kept.read_text())
    kept.write_text(json.dumps({key: "f" * 64}))
    assert ModelHash(checkpoint, kept=kept).get(wait=True) == "f" * 10, "it was not read again"
    assert len(known) == 1
    os.utime(checkpoint, ns=(1, 1))
    assert ModelHash(checkpoint, kept=kept).get(wait=True) == digits_of(checkpoint)
    assert len(json.loads(kept.read_text())) == 2


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"xl": 3}'])
def test_a_damaged_file_of_hashes_is_made_anew(checkpoint: Path, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "hashes.json"
    kept.write_text(text)
    assert ModelHash(checkpoint, kept=kept).get(wait=True) == digits_of(checkpoint)
    assert len(json.loads(kept.read_text())) == 1


def test_not_too_many_are_kept(checkpoint: Path, tmp_path: Path) -> None:
    kept = tmp_path / "hashes.json"
    kept.write_text(json.dumps({str(number): "f" * 64 for number in range(2 * MAX_KEPT)}))
    ModelHash(checkpoint, kept=kept).get(wait=True)
    assert len(json.loads(kept.read_text())) == MAX_KEPT


def test_what_cannot_be_read_or_kept_is_no_error(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ModelHash(checkpoint, kept=tmp_path / "file" / "x").get(wait=True) == digits_of(checkpoint)
    assert ModelHash(tmp_path / "none", kept=tmp_path / "x").get(wait=True) is None


def test_who_does_not_wait_gets_what_is_known(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow")
    hash_of_slow = ModelHash(tmp_path / "slow", kept=tmp_path / "x")
    assert hash_of_slow.get(wait=False) is None
    (tmp_path / "slow").write_bytes(b"weights")
    assert hash_of_slow.get(wait=True) == hashlib.sha256(b"weights").hexdigest()[:10]

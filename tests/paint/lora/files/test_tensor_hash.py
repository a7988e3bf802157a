from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.tensor_hash import tensor_hash


def test_the_tensors_count_and_not_the_metadata(tmp_path: Path) -> None:
    tensors = {"a.lora_A.weight": torch.arange(6.0).reshape(2, 3)}
    paths = (tmp_path / "one.safetensors", tmp_path / "other.safetensors")
    for path in paths:
        save_file(tensors, path, {"ss_output_name": path.stem})
    expected = hashlib.sha256(tensors["a.lora_A.weight"].numpy().tobytes()).hexdigest()[:12]
    assert [tensor_hash(path) for path in paths] == [expected, expected]


def test_what_is_no_lora_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(LoraError, match="expected a whole"):
        tensor_hash(tmp_path / "bad.safetensors")

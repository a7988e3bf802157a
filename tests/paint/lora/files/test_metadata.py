from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    TENSORS,
    refused,
)

SAID = [
    ("allaprima.sigmas", "x"), ("allaprima.sigmas", "5"), ("allaprima.sigmas", "[2]"), ("allaprima.sigmas", '["a"]'),
    ("allaprima.sigmas", "[NaN]"), ("allaprima.sigmas", str([1] * 2000)), ("allaprima.steps", "0"),
    ("allaprima.steps", "1.5"), ("allaprima.steps", "true"), ("allaprima.steps", '"4"'), ("allaprima.guidance", "-1"),
    ("allaprima.guidance", "Infinity"), ("allaprima.guidance", "[]"), ("allaprima.guidance", "[" * 90_000),
    ("lora_adapter_metadata", "nonsense"), ("lora_adapter_metadata", '{"transformer.lora_alpha": "8"}'),
    ("lora_adapter_metadata", '{"transformer.use_dora": true}'), ("adapter_config", "nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text"), SAID, ids=lambda word: word[:40])
def test_metadata_that_were_never_written_there(tmp_path: Path, key: str, text: str) -> None:
    refused(tmp_path / "a.safetensors", to_bytes(TENSORS, {key: text}))

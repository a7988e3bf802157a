"""A good file, and what its damaged copies are read with."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save as to_bytes
from tests.tiny_loras import make_updates, qwen_networks, spell

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.reader import read_lora

NETWORKS = qwen_networks()
TENSORS = spell(make_updates(NETWORKS, r"0\.attn\.to_[qk]$"), "LightX2V")
GOOD = to_bytes(TENSORS, {"format": "pt"})
HEADER_BYTES = struct.unpack("<Q", GOOD[:8])[0]
HEADER: dict[str, Any] = json.loads(GOOD[8 : 8 + HEADER_BYTES])
DATA = GOOD[8 + HEADER_BYTES :]
Q_DOWN = "transformer_blocks.0.attn.to_q.lora_down.weight"
Q_UP = "transformer_blocks.0.attn.to_q.lora_up.weight"
Q_ALPHA = "transformer_blocks.0.attn.to_q.alpha"


def assembled(header: object, data: bytes = DATA) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def refused(path: Path, data: bytes, words: str = ".") -> str:
    path.write_bytes(data)
    with pytest.raises(LoraError, match=words) as caught:
        read_lora(path, NETWORKS)
    message = str(caught.value)
    assert "\n" not in message
    assert 20 < len(message) < 1200
    return message

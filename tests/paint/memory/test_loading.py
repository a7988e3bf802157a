"""What may be taken of a GPU: torch is told of it in the words that torch takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from allaprima.paint.memory.loading import limit_bytes
from allaprima.paint.memory.plan import GIB


@pytest.mark.parametrize(("name", "index"), [("cuda", 2), ("cuda:1", 1)])
def test_torch_is_held_to_what_is_allowed(monkeypatch: pytest.MonkeyPatch, name: str, index: int) -> None:
    """No GPU is needed: what torch checks before it asks the driver is run as it is."""
    told: list[tuple[float, int]] = []
    card = SimpleNamespace(total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: card)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda.memory, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch._C, "_cuda_setMemoryFraction", lambda *call: told.append(call), raising=False)
    assert limit_bytes(24.0, torch.device(name)) == 24 * GIB
    ((share, card_index),) = told
    assert 0.2 < share < 24 / 80  # what the driver takes is left out
    assert card_index == index

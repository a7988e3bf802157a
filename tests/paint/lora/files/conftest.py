"""After every test the networks are what they were: reading a file touches no weight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.tiny_loras import qwen_networks

BEFORE = {name: tensor.clone() for name, tensor in qwen_networks()["transformer"].state_dict().items()}


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    yield
    weights = qwen_networks()["transformer"].state_dict()
    assert all(torch.equal(tensor, BEFORE[name]) for name, tensor in weights.items())

"""Bases loaded under a plan, and the limit that torch is given on a GPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import OutOfMemoryError
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.loading import limit_bytes
from allaprima.paint.memory.plan import GIB, RESIDENT
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.painter import Painter

CPU = torch.device("cpu")


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


@pytest.fixture(scope="module", params=["sdxl", "qwen"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("bases") / request.param
    return write_tiny_sdxl(where) if request.param == "sdxl" else write_tiny_qwen(where)


def is_away(base: Base, stage: str) -> bool:
    return all(weight.is_meta for network in base.stages()[stage] for weight in network.parameters())  # type: ignore[index]


def test_absent_networks_have_the_shapes_of_those_that_are_read(folder: Path) -> None:
    empty_base = load_base(str(folder), device=CPU, absent=("text", "predict", "decode"))
    whole = load_base(str(folder), device=CPU)
    for stage, networks in whole.stages().items():
        assert is_away(empty_base, stage)
        for empty, network in zip(empty_base.stages()[stage], networks, strict=True):
            named = {name: (weight.shape, weight.dtype) for name, weight in network.named_parameters()}
            assert {n: (w.shape, w.dtype) for n, w in empty.named_parameters()} == named


def test_a_plan_is_chosen_by_what_is_allowed(folder: Path) -> None:
    with pytest.raises(OutOfMemoryError, match=r"expected at least \d\.\d\d GiB.*turns, tiled"):
        Painter.load(str(folder), memory_gib=0.01)
    painter = Painter.load(str(folder), memory_gib=24)
    assert isinstance(painter.base, PlannedBase)
    assert painter.base.plan == RESIDENT

"""`--quantize`: bases rounded while they are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import RequestError
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Stage
from allaprima.paint.memory import offload
from allaprima.paint.memory.plan import MemoryPlan, plans_for
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.painter import Painter
from allaprima.paint.quantization import rounding
from allaprima.paint.quantization.layers import QuantizedLinear

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _round_tiny_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "MIN_NUMBERS", 512)


def write_base(tmp_path: Path, family: str) -> str:
    return str((write_tiny_qwen if family == "qwen" else write_tiny_sdxl)(tmp_path / "base"))


@pytest.mark.parametrize("name", ["fp8", "int8"])
@pytest.mark.parametrize("family", ["qwen", "sdxl"])
def test_a_rounded_base_paints_much_like_the_base(tmp_path: Path, family: str, name: str) -> None:
    folder = write_base(tmp_path, family)
    base = load_base(folder, device=CPU, dtype=torch.float32)
    rounded = load_base(folder, device=CPU, dtype=torch.float32, quantize=name)
    stages = rounded.stages()
    for stage in ("text", "predict"):
        layers = [module for network in stages[stage] for module in network.modules()]
        assert any(isinstance(layer, QuantizedLinear) for layer in layers)
    assert not any(isinstance(module, QuantizedLinear) for module in stages["decode"][0].modules())
    side = base.defaults.width
    latents, times = base.noise([1], side, side), torch.tensor([0.5])
    with torch.inference_mode():
        answers = [one.predict(latents, times, one.encode_text(["a cat"])) for one in (base, rounded)]
    distance = (answers[0] - answers[1]).norm() / answers[0].norm()
    assert 0 < distance < 0.1
    assert rounded.dtype == torch.float32  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", ["qwen", "sdxl"])
def test_without_numbers_it_has_the_same_sizes(tmp_path: Path, family: str) -> None:
    folder = write_base(tmp_path, family)
    sizes = []
    absences: tuple[tuple[Stage, ...], ...] = ((), ("text", "predict", "decode"))
    for absent in absences:
        base = load_base(folder, device=CPU, dtype=torch.float32, quantize="int8", absent=absent)
        networks = [network for stage in base.stages().values() for network in stage]
        sizes.append([sum(weight.nbytes for weight in network.parameters()) for network in networks])
    assert sizes[0] == sizes[1]


def test_what_cannot_be_rounded_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="for vignette, whose weights are small"):
        Painter.load(quantize="int8")
    folder = str(write_tiny_qwen(tmp_path / "base"))
    with pytest.raises(RequestError, match="got --quantize 'int3'; expected fp8, int8, nf4"):
        Painter.load(folder, quantize="int3")


def test_a_painter_paints_with_it(tmp_path: Path) -> None:
    folder = str(write_tiny_qwen(tmp_path / "base"))
    with Painter.load(folder, quantize="fp8", device="cpu", precision="fp32") as painter:
        picture = painter("a cat", seed=1, steps=1, width=64, height=64)
    with Painter.load(folder, device="cpu", precision="fp32") as painter:
        plain = painter("a cat", seed=1, steps=1, width=64, height=64)
    assert picture.rgb != plain.rgb


@pytest.mark.parametrize("plan", plans_for("cpu"), ids=str)
def test_every_plan_paints_the_same_picture_from_rounded_weights(tmp_path: Path, plan: MemoryPlan) -> None:
    folder = write_base(tmp_path, "qwen")
    with Painter.load(folder, quantize="fp8", device="cpu", precision="fp32") as painter:
        wanted = painter("a cat", seed=1, steps=1, width=64, height=64)
        assert isinstance(painter.base, PlannedBase)
        painter.base.follow(plan)
        painter("a dog", seed=1, steps=1, width=64, height=64)
        again = painter("a cat", seed=1, steps=1, width=64, height=64)
    assert again.rgb == wanted.rgb


@pytest.mark.parametrize("ahead", [False, True])
def test_rounded_layers_are_streamed_to_a_device(tmp_path: Path, ahead: bool) -> None:
    base = load_base(write_base(tmp_path, "qwen"), device=CPU, dtype=torch.float32, quantize="int8")
    side, at = base.defaults.width, torch.tensor([0.5])
    with torch.inference_mode():
        text, latents = base.encode_text(["a cat"]), base.noise([1], side, side)
        wanted = base.predict(latents, at, text)
        offload.stream(base.stages()["predict"], CPU, ahead=ahead)
        assert torch.equal(base.predict(latents, at, text), wanted)

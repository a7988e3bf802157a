from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.paint.memory.forecasts import TILED, TURNS
from tests.tiny_klein import write_tiny_klein
from tests.tiny_loras import make_updates, save, spell
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette
from tests.tiny_z_image import write_tiny_z_image
from torch import nn
from torch.utils.hooks import RemovableHandle

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.forecast import forecast
from allaprima.paint.memory.plan import RESIDENT, MemoryForecast, MemoryPlan, plans_for
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.painter import Painter

CPU = torch.device("cpu")


WRITERS: dict[str, Callable[[Path], Path]] = {
    "sdxl": write_tiny_sdxl, "qwen": write_tiny_qwen, "klein": write_tiny_klein, "z-image": write_tiny_z_image,
}  # fmt: skip


@pytest.fixture(scope="module", params=WRITERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp("bases") / request.param)


def request_of(painter: Painter, **given: Any) -> GenerationRequest:
    return painter.request(**{"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 5, **given})


def is_away(base: Base, stage: str) -> bool:
    return all(weight.is_meta for network in base.stages()[stage] for weight in network.parameters())  # type: ignore[index]


@pytest.mark.parametrize("plan", plans_for("cpu"), ids=str)
def test_every_plan_paints_the_same_picture(folder: Path, plan: MemoryPlan) -> None:
    painter = Painter.load(str(folder))
    wanted = painter.paint(request_of(painter))
    assert isinstance(painter.base, PlannedBase)
    painter.base.follow(plan)
    for prompt in ("a dog", "a cat"):
        picture = painter.paint(request_of(painter, prompt=prompt))
    assert picture.rgb == wanted.rgb
    assert painter.base.plan == plan


def test_vignette_saves_by_tiles_alone(tmp_path: Path) -> None:
    base = Painter.load(folder=write_tiny_vignette(tmp_path), device="cpu").base
    assert isinstance(base, PlannedBase)
    assert base.use_next_plan(list)
    assert base.plan == MemoryPlan(tiled=True)
    assert not base.use_next_plan(list)


def test_those_who_take_turns_are_not_there_together(folder: Path) -> None:
    painter = Painter.load(str(folder))
    base = painter.base
    assert isinstance(base, PlannedBase)
    base.follow(TURNS)
    assert is_away(base, "text")
    assert is_away(base, "predict")
    with torch.inference_mode():
        text = base.encode_text(["a cat"])
        assert is_away(base, "predict")
        latents = base.noise([1], 64, 64)
        assert is_away(base, "text")
        assert base.predict(latents, torch.tensor([0.5]), text).isfinite().all()
    base.follow(RESIDENT)


def test_a_lora_is_worn_under_every_plan(tmp_path: Path) -> None:
    folder = write_tiny_qwen(tmp_path / "base")
    modules = load_base(str(folder), device=CPU).modules()
    save(tmp_path / "ink.safetensors", spell(make_updates(modules, r"to_[qkv]$"), "diffusers"))
    painter = Painter.load(str(folder), lora_dir=tmp_path)
    plain = painter.paint(request_of(painter))
    worn = request_of(painter, loras=(LoraUse(name="ink"),))
    wanted = painter.paint(worn)
    assert wanted.rgb != plain.rgb
    assert isinstance(painter.base, PlannedBase)
    painter.base.follow(TURNS)
    assert painter.paint(worn).rgb == wanted.rgb
    assert painter.idle()
    assert painter.paint(worn).rgb == wanted.rgb
    assert painter.paint(request_of(painter)).rgb == plain.rgb


def cramp(base: Base, cells: int) -> RemovableHandle:
    """Let the decoder's last layer find no room for more than `cells` pixels."""

    def refuse(layer: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        del layer
        if args[0].shape[2] * args[0].shape[3] > cells:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate much")

    (autoencoder,) = base.stages()["decode"]
    last = autoencoder.get_submodule("decoder.conv_out")
    return last.register_forward_pre_hook(refuse)


def test_a_decode_without_room_is_done_again_in_tiles(tmp_path: Path) -> None:
    painter = Painter.load(str(write_tiny_sdxl(tmp_path / "base")))
    assert isinstance(painter.base, PlannedBase)
    cramp(painter.base, 512 * 128)
    wide = request_of(painter, width=1024, height=128, guidance=1.0)
    kinds = [type(event).__name__ for event in painter.events(wide)]
    assert kinds == ["Started", "Step", "Step", "Started", "Step", "Step", "Finished"]
    assert painter.base.plan == MemoryPlan(tiled=True)
    assert [type(event).__name__ for event in painter.events(wide)] == kinds[3:]


def test_one_more_try_and_no_more(tmp_path: Path) -> None:
    painter = Painter.load(str(write_tiny_sdxl(tmp_path / "base")))
    assert isinstance(painter.base, PlannedBase)
    small = request_of(painter, guidance=1.0)
    wanted = painter.paint(small)
    cramped = cramp(painter.base, 0)
    with pytest.raises(OutOfMemoryError, match=r'ran out under the plan "resident, tiled".*"turns, tiled"'):
        painter.paint(small)
    cramped.remove()
    assert painter.base.plan == MemoryPlan(tiled=True)
    assert painter.paint(small).rgb == wanted.rgb


SHORT = """
import resource, sys
from allaprima.core.errors import OutOfMemoryError
from allaprima.paint.memory.process_memory import address_bytes
from allaprima.paint.painter import Painter

def paint(side):
    request = painter.request(prompt="a cat", width=side, height=side, steps=1, guidance=1.0, seed=1)
    return painter.paint(request)

painter = Painter.load(sys.argv[1])
small = paint(64)
# Room for what the interpreter asks for beside the picture, which nothing could tell of; not for a tensor of 1024.
resource.setrlimit(resource.RLIMIT_AS, (address_bytes() + 2**25, resource.RLIM_INFINITY))
try:
    paint(1024)
except OutOfMemoryError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("next", paint(64).rgb == small.rgb)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_what_really_runs_out_is_told_and_the_next_picture_is_right(tmp_path: Path) -> None:
    folder = write_tiny_sdxl(tmp_path / "base")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHORT, str(folder)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    refused, after = ran.stdout.splitlines()
    assert refused.startswith('memory ran out under the plan "resident, tiled"; expected')
    assert after == "next True"


def test_a_larger_picture_is_painted_under_a_thriftier_plan(tmp_path: Path) -> None:
    folder = write_tiny_sdxl(tmp_path / "base")

    def forecast_for(width: int | None, height: int | None, held: int = 0) -> list[MemoryForecast]:
        return forecast(str(folder), width=width, height=height, device=CPU, dtype=torch.float32, held=held)

    def limited_to(limit: int) -> PlannedBase:
        base = load_base(str(folder), device=CPU)
        return PlannedBase(base, device=CPU, forecast=forecast_for, limit=limit, planned=64 * 64)

    whole, tiled, _ = (entry.peak_bytes for entry in forecast_for(768, 768))
    assert tiled < whole
    base = limited_to((whole + tiled) // 2)
    moves: list[MemoryPlan] = []
    base.fit_memory(64, 64, lambda: moves.append(base.plan))
    assert (base.plan, moves) == (RESIDENT, [])
    base.fit_memory(768, 768, lambda: moves.append(base.plan))
    assert (base.plan, moves) == (TILED, [RESIDENT])
    small = limited_to(2**20)
    with pytest.raises(OutOfMemoryError, match="expected at least"):
        small.fit_memory(128, 128, list)
    assert small.plan == RESIDENT


def test_a_plan_holds_for_the_coarse_decoder_too(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path, detail_width=8))
    planned = PlannedBase(base, MemoryPlan(tiled=True), device=CPU)
    latents = base.noise([0], 1024, 256)
    with torch.inference_mode():
        tiled, whole = planned.decode_coarse(latents), base.decode_coarse(latents)
        assert planned.has_coarse_decoder
        assert torch.allclose(tiled, whole, atol=1e-4)
        assert not torch.allclose(tiled, base.decode(latents), atol=1e-4)

"""The request policy at a real base: which turbo LoRA it finds, what a request says itself, and what is remarked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_turbo import FOUR_STEPS, ONE_STEP, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import LoraError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.turbo import FEW
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.painter import Painter

TURBO, ONE = LoraUse(name="turbo"), LoraUse(name="turbo-1")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_vignette(tmp_path / "weights")


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "lora"
    folder.mkdir(parents=True)
    return folder


def load(weights: Path, loras: Path) -> Painter:
    return Painter.load(folder=weights, lora_dir=loras, device="cpu")


def test_the_lora_called_turbo_is_worn_with_what_it_was_trained_for(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    painter = load(weights, loras)
    quick = painter.request(prompt="cat", seed=3)
    assert (quick.loras, quick.steps, quick.guidance) == ((TURBO,), 4, 1.0)
    plain = painter.request(prompt="cat", seed=3, turbo=False)
    assert plain == GenerationRequest(prompt="cat", seed=3)
    assert painter.introductions(quick) == (
        "the LoRA 'turbo' was trained to paint in 4 steps without guidance",
    )
    assert painter.remarks(quick) == painter.introductions(plain) == ()
    named = replace(plain, loras=(TURBO,), steps=4, guidance=1.0)
    assert painter.paint(quick).rgb == painter.paint(named).rgb
    assert painter.paint(quick).rgb != painter.paint(replace(named, loras=())).rgb


def test_without_the_file_nothing_changes(weights: Path, loras: Path) -> None:
    painter = load(weights, loras)
    assert painter.request(prompt="cat") == GenerationRequest(prompt="cat")
    write_turbo(loras / "turbo-1.safetensors", ONE_STEP)
    assert painter.request(prompt="cat").loras == ()


def test_what_is_said_comes_first_and_what_it_does_is_remarked(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    painter = load(weights, loras)
    longer = painter.request(prompt="cat", steps=9)
    assert (longer.loras, longer.steps) == ((TURBO,), 9)
    assert "trained to paint in 4 steps; 9 are asked for" in painter.remarks(longer)[0]
    assert painter.introductions(longer) == ()
    named = painter.request(prompt="cat", guidance=4.0, loras=(TURBO,))
    assert (named.loras, named.steps, named.guidance) == ((TURBO,), 4, 4.0)
    assert "'turbo' was trained to paint without guidance; with guidance 4" in painter.remarks(named)[0]
    against = painter.request(prompt="cat", negative_prompt="rain", loras=(TURBO,))
    assert painter.remarks(against) == (
        "the negative prompt does nothing, for the LoRA 'turbo' paints without guidance",
    )


def test_it_is_left_off_where_it_would_defeat_what_is_said(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    painter = load(weights, loras)
    guided = painter.request(prompt="cat", guidance=3.0)
    assert (guided.loras, guided.steps, guided.guidance) == ((), 50, 3.0)
    against = painter.request(prompt="cat", negative_prompt="rain", steps=20)
    assert (against.loras, against.steps, against.guidance) == ((), 20, 4.0)
    assert painter.remarks(guided) == painter.remarks(against) == ()
    unguided = painter.request(prompt="cat", negative_prompt="rain", guidance=1.0)
    assert (unguided.loras, unguided.steps) == ((TURBO,), 4)


def test_a_style_is_worn_behind_it(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    write_turbo(loras / "ink.safetensors", {}, seed=1)
    painter, ink = load(weights, loras), LoraUse(name="ink", weight=0.5)
    assert painter.request(prompt="cat", loras=(ink,)).loras == (TURBO, ink)


def test_it_leaves_the_way_to_whoever_says_how_to_paint(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    write_turbo(loras / "quick.safetensors", FOUR_STEPS | {"allaprima.steps": "2"}, seed=1)
    painter = load(weights, loras)
    quick = painter.request(prompt="cat", loras=(LoraUse(name="quick"),))
    assert ([use.name for use in quick.loras], quick.steps) == (["quick"], 2)
    off = painter.request(prompt="cat", loras=(replace(TURBO, weight=0.0),))
    assert (off.steps, off.guidance) == (50, 4.0)
    assert painter.paint(replace(off, steps=1)).rgb == painter.paint(replace(off, steps=1, loras=())).rgb
    half = painter.request(prompt="cat", loras=(replace(TURBO, weight=0.5),))
    assert (half.loras[0].weight, len(half.loras), half.steps) == (0.5, 1, 4)
    assert painter.request(prompt="cat", schedule="adaptive-cosine").loras == ()


def test_one_step_has_a_lora_of_its_own(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    painter = load(weights, loras)
    alone = painter.request(prompt="cat", steps=1)
    assert alone.loras == (TURBO,)
    assert "trained to paint in 4 steps; 1 is asked for" in painter.remarks(alone)[0]
    write_turbo(loras / "turbo-1.safetensors", ONE_STEP, seed=1)
    one = painter.request(prompt="cat", steps=1)
    assert (one.loras, one.steps, one.guidance) == ((ONE,), 1, 1.0)
    assert painter.introductions(one) == (
        "the LoRA 'turbo-1' was trained to paint in 1 step without guidance",
    )
    assert painter.remarks(one) == ()
    assert painter.request(prompt="cat").loras == (TURBO,)
    write_turbo(loras / "turbo-1.safetensors", FOUR_STEPS, seed=1)
    assert painter.request(prompt="cat", steps=1).loras == (TURBO,)


def test_one_for_another_family_is_left_alone(weights: Path, loras: Path, tmp_path: Path) -> None:
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS | {"allaprima.family": "sdxl"})
    assert load(weights, loras).request(prompt="cat").loras == ()
    # As most files: nothing declared, but the layers and their widths are SDXL's.
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    halves = {f"{key}.lora_down.weight": torch.zeros(4, 2048), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    save_file(halves, loras / "turbo.safetensors")
    assert load(weights, loras).request(prompt="cat").loras == ()
    write_turbo(loras / "turbo.safetensors", FOUR_STEPS)
    other = Painter.load(str(write_tiny_sdxl(tmp_path / "sdxl")), lora_dir=loras, device="cpu")
    assert other.request(prompt="cat").loras == ()


def write_for_a_unet(path: Path, said: dict[str, str] | None = None) -> None:
    """Write a LoRA that shows a U-Net's layers and no width that tells whose."""
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    halves = {f"{key}.lora_down.weight": torch.zeros(4, 640), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    save_file(halves, path, said)


def test_one_for_another_kind_of_network_is_left_alone_though_it_declares_nothing(
    weights: Path, loras: Path
) -> None:
    write_for_a_unet(loras / "turbo.safetensors")
    painter = load(weights, loras)
    assert painter.request(prompt="cat").loras == ()
    with pytest.raises(LoraError, match="is a LoRA for a U-Net; the base here is Vignette"):
        painter.request(prompt="cat", loras=(TURBO,))


@pytest.mark.parametrize("said", [None, {"allaprima.family": "sdxl"}])
def test_one_for_another_base_hides_none_that_ships(
    weights: Path, loras: Path, said: dict[str, str] | None
) -> None:
    write_turbo(weights / "loras" / "turbo.safetensors", FOUR_STEPS)
    shipped = load(weights, loras)
    request = shipped.request(prompt="cat", seed=3)
    before = shipped.paint(request).rgb
    write_for_a_unet(loras / "turbo.safetensors", said)
    painter = Painter.load(folder=weights, lora_dir=loras, device="cpu", loras=request.loras)
    assert painter.request(prompt="cat", seed=3) == request
    assert painter.paint(request).rgb == before


def test_a_file_that_cannot_be_used_is_told_and_can_be_done_without(weights: Path, loras: Path) -> None:
    (loras / "turbo.safetensors").write_bytes(b"not a LoRA")
    painter = load(weights, loras)
    with pytest.raises(LoraError, match=r"turbo\.safetensors"):
        painter.request(prompt="cat")
    assert painter.request(prompt="cat", turbo=False).loras == ()


def test_what_ships_beside_the_weights_counts_where_the_folder_has_none(weights: Path, loras: Path) -> None:
    shipped = weights / "loras"
    write_turbo(shipped / "turbo.safetensors", FOUR_STEPS)
    painter = load(weights, loras)
    assert painter.request(prompt="cat").steps == 4
    folder = LoraFolder(loras, behind=shipped)
    assert (folder.names(), folder.require("turbo").shipped) == (("turbo",), True)
    ours = painter.paint(painter.request(prompt="cat")).rgb

    write_turbo(
        loras / "turbo.safetensors",
        FOUR_STEPS | {"allaprima.steps": "2", "allaprima.sigmas": "[1.0, 0.5, 0.0]"},
        seed=1,
    )
    assert painter.request(prompt="cat").steps == 2
    assert (folder.names(), folder.require("turbo").shipped) == (("turbo",), False)
    assert painter.paint(painter.request(prompt="cat", steps=4)).rgb != ours
    with pytest.raises(LoraError, match=r"'ink', which is not in .*; expected one of turbo"):
        folder.require("ink")
    with pytest.raises(LoraError, match="expected the name of a file"):
        LoraFolder(loras / "none", behind=shipped).find("../denoiser")


def test_other_bases_have_no_part_in_what_ships_with_vignette(loras: Path, tmp_path: Path) -> None:
    painter = Painter.load(str(write_tiny_sdxl(tmp_path / "sdxl")), lora_dir=loras, device="cpu")
    assert painter.lora_manager is not None
    assert painter.lora_manager.folder.names() == ()


def test_a_file_that_says_nothing_is_painted_with_in_few_steps(weights: Path, loras: Path) -> None:
    write_turbo(loras / "turbo.safetensors", {})
    request = load(weights, loras).request(prompt="cat")
    assert (request.loras, request.steps, request.guidance) == ((TURBO,), FEW, 1.0)


LIGHTNING = "Qwen-Image-2512-Lightning-4steps-V1.0-bf16"


def write_lightning(folder: Path, name: str = LIGHTNING) -> None:
    """Write a LoRA for the tiny Qwen-Image that changes something."""
    layer, draw = "transformer_blocks.0.attn.to_q", torch.Generator().manual_seed(0)
    halves = {
        f"{layer}.lora_down.weight": torch.randn(4, 32, generator=draw),
        f"{layer}.lora_up.weight": torch.randn(32, 4, generator=draw),
        f"{layer}.alpha": torch.tensor(0.5),
    }
    save_file(halves, folder / f"{name}.safetensors", {"modelspec.architecture": "qwen-image/lora"})


def test_a_public_accelerator_that_lies_in_the_folder_needs_no_word(tmp_path: Path, loras: Path) -> None:
    write_lightning(loras)
    base = str(write_tiny_qwen(tmp_path / "qwen"))
    with Painter.load(base, lora_dir=loras, device="cpu") as painter:
        size: dict[str, Any] = {"width": 32, "height": 32}
        quick = painter.request(prompt="cat", seed=3, **size)
        use = LoraUse(name=LIGHTNING)
        assert (quick.loras, quick.steps, quick.guidance, quick.schedule) == ((use,), 4, 1.0, "lightning")
        (said,) = painter.introductions(quick)
        assert said.startswith(f"the LoRA '{LIGHTNING}' was trained to paint in 4 steps without guidance")
        assert said.endswith("(Qwen-Image-Lightning, recognised by its name)")
        named = painter.request(prompt="cat", seed=3, loras=(use,), **size)
        assert named == quick
        picture = painter.paint(quick)
        # A request that leaves the schedule open, as the page's may, is painted at the LoRA's levels too.
        assert painter.paint(replace(quick, schedule=None)).rgb == picture.rgb
        assert painter.paint(replace(quick, loras=())).rgb != picture.rgb
        own = painter.request(prompt="cat", seed=3, loras=(use,), steps=3, schedule="adaptive-cosine", **size)
        assert (own.steps, own.guidance, own.schedule) == (3, 1.0, "adaptive-cosine")
        plain = painter.request(prompt="cat", seed=3, turbo=False, **size)
        assert (plain.loras, plain.schedule, plain.steps) == ((), None, 50)

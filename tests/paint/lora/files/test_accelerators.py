"""Public acceleration LoRAs: known by their names where their layers agree, and by nothing less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.paint.lora.files.samples import FAMILIES

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.families import FAMILIES as BASES
from allaprima.paint.lora.files.accelerators import ACCELERATORS, find_accelerator, with_accelerator
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import LoraReader
from allaprima.paint.lora.files.remarks import introductions, remarks_on
from allaprima.paint.lora.files.summary import read_summary

LIGHTNING = "Qwen-Image-2512-Lightning-4steps-V1.0-bf16"

PUBLISHED = [
    # file, family, steps, schedule, guidance
    (LIGHTNING, "qwen-image", 4, "lightning", 1.0),
    ("Qwen-Image-2512-Lightning-4steps-V1.0-fp32", "qwen-image", 4, "lightning", 1.0),
    ("Qwen-Image-2512-Lightning-8steps-V1.0-bf16", "qwen-image", 8, "lightning", 1.0),
    ("Qwen-Image-Lightning-4steps-V1.0", "qwen-image", 4, "lightning", 1.0),
    ("Qwen-Image-Lightning-8steps-V1.1-bf16", "qwen-image", 8, "lightning", 1.0),
    ("Qwen-Image-Lightning-8steps-V2.0", "qwen-image", 8, "lightning", 1.0),
    ("Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-bf16", "qwen-image", 4, "lightning", 1.0),
    ("Wuli-Qwen-Image-2512-Turbo-LoRA-4steps-V3.0-bf16", "qwen-image", 4, "lightning", 1.0),
    ("Wuli-Qwen-Image-2512-Turbo-LoRA-8steps-V1.0", "qwen-image", 8, "lightning", 1.0),
    ("Wuli-Qwen-Image-2512-Turbo-LoRA-2steps-V1.0-bf16", "qwen-image", 2, "lightning", 1.0),
    ("sdxl_lightning_2step_lora", "sdxl", 2, "trailing", 1.0),
    ("sdxl_lightning_4step_lora", "sdxl", 4, "trailing", 1.0),
    ("sdxl_lightning_8step_lora", "sdxl", 8, "trailing", 1.0),
    ("Hyper-SDXL-1step-lora", "sdxl", 1, "tcd-full-noise", 1.0),
    ("Hyper-SDXL-2steps-lora", "sdxl", 2, "ddim", 1.0),
    ("Hyper-SDXL-4steps-lora", "sdxl", 4, "ddim", 1.0),
    ("Hyper-SDXL-8steps-lora", "sdxl", 8, "ddim", 1.0),
    ("Hyper-SDXL-8steps-CFG-lora", "sdxl", 8, "ddim", 5.0),
    ("dmd2_sdxl_4step_lora", "sdxl", 4, "dmd2", 1.0),
    ("dmd2_sdxl_4step_lora_fp16", "sdxl", 4, "dmd2", 1.0),
    ("lcm-lora-sdxl", "sdxl", 4, "lcm", 1.0),
    ("sdxl_lcm_lora", "sdxl", 4, "lcm", 1.0),
    ("sd_xl_turbo_lora_v1", "sdxl", 4, "turbo", 1.0),
    ("sd_xl_turbo_lora_v1-64dim", "sdxl", 4, "turbo", 1.0),
]

OTHERS = [
    "lightning-storm", "my-lightning-4steps", "Qwen-Image-2.1-Lightning-4steps", "Qwen-Image-Lightning",
    "hyperrealism_sdxl", "lcm", "sdxl_lightning_3step_lora", "turbo", "sdxl_lightning_4stepping",
    "Hyper-FLUX.1-dev-8steps-lora", "Hyper-SD15-8steps-lora", "xsdxl_lightning_4step_lora",
]  # fmt: skip


@pytest.mark.parametrize(("name", "family", "steps", "schedule", "guidance"), PUBLISHED)
def test_the_published_names(name: str, family: str, steps: int, schedule: str, guidance: float) -> None:
    for spelling in (name, name.lower(), f"turbo/{name}"):
        found = find_accelerator([spelling], family)
        assert found is not None
        assert (found.steps, found.schedule, found.guidance) == (steps, schedule, guidance)
        assert schedule in BASES[family].traits.schedules
    assert find_accelerator([name], "flux") is None
    assert find_accelerator([name], None) is None


@pytest.mark.parametrize("name", OTHERS)
def test_of_other_names_nothing_is_claimed(name: str) -> None:
    assert all(find_accelerator([name], family) is None for family in ("qwen-image", "sdxl"))


def test_every_accelerator_has_steps() -> None:
    for row in ACCELERATORS:
        assert row.steps or "(?P<steps>" in row.pattern
        assert row.most_steps == 0 or row.most_steps >= row.steps


def write(path: Path, family: str, metadata: dict[str, str] | None = None) -> Path:
    """Write a LoRA of one layer of the tiny base of `family`."""
    layer, width, out = {
        "qwen-image": ("transformer_blocks.0.attn.to_q", 3072, 3072),
        "sdxl": ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 2048, 640),
    }[family]
    path.parent.mkdir(exist_ok=True)
    tensors = {
        f"{layer}.lora_down.weight": torch.zeros(4, width), f"{layer}.lora_up.weight": torch.ones(out, 4),
        f"{layer}.alpha": torch.tensor(8.0),
    }  # fmt: skip
    save_file(tensors, path, metadata)
    return path


def test_a_file_is_recognised_by_name_and_layers(tmp_path: Path) -> None:
    known = read_summary(write(tmp_path / f"{LIGHTNING}.safetensors", "qwen-image")).metadata
    assert (known.accelerator, known.steps, known.schedule) == ("Qwen-Image-Lightning", 4, "lightning")
    foreign = read_summary(write(tmp_path / "sdxl_lightning_4step_lora.safetensors", "qwen-image")).metadata
    assert (foreign.accelerator, foreign.steps) == (None, None)
    renamed = read_summary(write(tmp_path / "fast.safetensors", "qwen-image")).metadata
    assert (renamed.accelerator, renamed.steps) == (None, None)


def test_a_renamed_file_may_carry_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "fast.safetensors", "sdxl", {"ss_output_name": "sdxl_lightning_2step_lora"})
    assert read_summary(path).metadata.steps == 2


def test_a_folder_gives_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "lcm-lora-sdxl" / "pytorch_lora_weights.safetensors", "sdxl")
    assert read_summary(path).metadata.accelerator == "LCM-LoRA"


def test_what_a_file_says_itself_counts(tmp_path: Path) -> None:
    said = {"allaprima.steps": "6", "allaprima.guidance": "2.0"}
    metadata = read_summary(write(tmp_path / f"{LIGHTNING}.safetensors", "qwen-image", said)).metadata
    assert (metadata.steps, metadata.guidance, metadata.schedule, metadata.accelerator) == (
        6,
        2.0,
        None,
        None,
    )


def test_a_reader_recognises_as_the_header_does(tmp_path: Path) -> None:
    networks = FAMILIES["qwen-image"]()
    tensors = {
        "transformer_blocks.0.attn.to_q.lora_down.weight": torch.zeros(4, 16),
        "transformer_blocks.0.attn.to_q.lora_up.weight": torch.ones(16, 4),
    }
    path = tmp_path / f"{LIGHTNING}.safetensors"
    save_file(tensors, path, {"modelspec.architecture": "qwen-image/lora"})
    metadata = LoraReader(networks, family="qwen-image").read(path).metadata
    assert metadata.accelerator == "Qwen-Image-Lightning"
    assert metadata == replace(read_summary(path).metadata, raw=metadata.raw)


def test_the_folder_tells_candidates_by_name_alone(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path)
    assert folder.accelerators() == ()
    for name in (LIGHTNING, "ink"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"no LoRA")
    assert folder.accelerators() == (LIGHTNING,)


def test_it_is_introduced_and_other_steps_are_told_of(tmp_path: Path) -> None:
    four = with_accelerator(LoraMetadata(), tmp_path / f"{LIGHTNING}.safetensors", "qwen-image")
    lcm = with_accelerator(LoraMetadata(), tmp_path / "lcm-lora-sdxl.safetensors", "sdxl")
    request = GenerationRequest(prompt="a cat", steps=4, guidance=1.0)
    (said,) = introductions(request, {"fast": four})
    assert said.startswith(
        "the LoRA 'fast' was trained to paint in 4 steps without guidance (Qwen-Image-Light"
    )
    (said,) = remarks_on(replace(request, steps=6), {"fast": four})
    assert said.startswith("the LoRA 'fast' was trained to paint in 4 steps; 6 are asked for")
    assert remarks_on(replace(request, steps=6), {"lcm": lcm}) == ()
    assert len(remarks_on(replace(request, steps=9), {"lcm": lcm})) == 1
    (both,) = remarks_on(request, {"fast": four, "lcm": lcm})
    assert both.startswith("the LoRAs 'fast' and 'lcm' each let the base paint in few steps")

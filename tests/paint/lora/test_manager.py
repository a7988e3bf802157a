from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from allaprima.core.errors import LoraError
from allaprima.core.request import LoraUse
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig, with_layout
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.manager import LoraManager

KEYS = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_k",
    "transformer_blocks.0.attn.to_out.0",
)


@pytest.fixture
def denoiser() -> Denoiser:
    config = DenoiserConfig(
        latent_channels=4, layers=1, heads=2, head_width=16, text_width=32, rope_axes=(4, 6, 6)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Denoiser(config).requires_grad_(requires_grad=False).eval()
        for parameter in made.parameters():
            parameter.normal_(std=0.2)
    return made


def write(folder: Path, name: str, seed: int) -> Path:
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for key in KEYS:
        tensors[f"transformer.{key}.lora_A.weight"] = torch.randn(3, 32, generator=draw)
        tensors[f"transformer.{key}.lora_B.weight"] = torch.randn(32, 3, generator=draw)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    return path


def answer(denoiser: Denoiser) -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    out: torch.Tensor = denoiser(
        torch.randn(1, 4, 4, 4, generator=draw),
        torch.full((1,), 0.5),
        torch.randn(1, 5, 32, generator=draw),
    )
    return out


def use(name: str, weight: float = 1.0) -> list[LoraUse]:
    return [LoraUse(name=name, weight=weight)]


def make_manager(denoiser: Denoiser, folder: Path, kept_bytes: int = 2**20) -> LoraManager:
    return LoraManager(
        {"transformer": denoiser.transformer}, LoraFolder(folder), family="vignette", kept_bytes=kept_bytes
    )


def test_files_are_worn_by_name_and_the_way_back_is_exact(tmp_path: Path, denoiser: Denoiser) -> None:
    plain = answer(denoiser)
    lora_manager = make_manager(denoiser, tmp_path)
    lora_manager.apply([])
    assert lora_manager.merge()
    write(tmp_path, "ink", 1)
    lora_manager.apply(use("ink", 0.5))
    worn = answer(denoiser)
    assert not torch.allclose(worn, plain, atol=1e-4)
    write(tmp_path, "chalk", 2)
    lora_manager.apply(use("chalk"))
    assert not torch.equal(answer(denoiser), worn)
    lora_manager.apply(use("ink", 0.5))
    assert torch.equal(answer(denoiser), worn)
    state = lora_manager.state("transformer")
    assert lora_manager.merge()
    lora_manager.apply(use("ink", 0.5))
    assert lora_manager.rack.merged
    assert lora_manager.state("transformer") == state
    lora_manager.apply([])
    assert torch.equal(answer(denoiser), plain)


def test_a_file_that_changes_is_read_again(tmp_path: Path, denoiser: Denoiser) -> None:
    path = write(tmp_path, "ink", 1)
    lora_manager = make_manager(denoiser, tmp_path)
    lora_manager.apply(use("ink"))
    first, state = answer(denoiser), lora_manager.state()
    write(tmp_path, "ink", 2)
    os.utime(path, ns=(1, 1))
    lora_manager.apply(use("ink"))
    assert not torch.equal(answer(denoiser), first)
    assert lora_manager.state() != state


@pytest.mark.parametrize("bad", ["absent", "broken", "../ink"])
def test_what_cannot_be_worn_leaves_what_is(tmp_path: Path, denoiser: Denoiser, bad: str) -> None:
    write(tmp_path, "ink", 1)
    (tmp_path / "broken.safetensors").write_bytes(b"\x08" + bytes(7) + b"{}      ")
    lora_manager = make_manager(denoiser, tmp_path)
    lora_manager.apply(use("ink"))
    worn = answer(denoiser)
    with pytest.raises(LoraError):
        lora_manager.apply([*use("ink", 0.3), *use(bad)])
    assert torch.equal(answer(denoiser), worn)
    assert lora_manager.rack.attached == {"ink": 1.0}


def test_what_was_not_worn_for_long_is_forgotten_and_read_again(tmp_path: Path, denoiser: Denoiser) -> None:
    for i in range(5):
        write(tmp_path, str(i), i)
    lora_manager = make_manager(denoiser, tmp_path, kept_bytes=2 * len(KEYS) * 2 * 3 * 32 * 4)
    answers = []
    for i in (*range(5), 0):
        lora_manager.apply(use(str(i)))
        answers.append(answer(denoiser))
    assert lora_manager.rack.registered == ("0", "4")
    assert torch.equal(answers[0], answers[-1])


def test_a_picture_tells_of_what_a_lora_changes_and_is_known_as(tmp_path: Path, denoiser: Denoiser) -> None:
    name = "Qwen-Image-Lightning-4steps-V1.0"
    key = "transformer.transformer_blocks.0.attn.norm_q.w_norm"
    said = {"modelspec.architecture": "qwen-image/lora"}
    save_file({key: torch.ones(16)}, tmp_path / f"{name}.safetensors", said)
    manager = LoraManager({"transformer": denoiser.transformer}, LoraFolder(tmp_path), family="qwen-image")
    plain = answer(denoiser)
    manager.apply(use(name))
    assert not torch.allclose(answer(denoiser), plain, atol=1e-3)
    (painted,) = manager.painted(use(name))
    assert (painted.parts, painted.accelerator) == (("transformer",), "Qwen-Image-Lightning")
    assert painted.to_json()["accelerator"] == "Qwen-Image-Lightning"
    manager.apply([])
    assert torch.equal(answer(denoiser), plain)


def test_made_ready_it_wears_as_it_would_have(tmp_path: Path, denoiser: Denoiser) -> None:
    lora_manager, plain = make_manager(denoiser, tmp_path), answer(denoiser)
    lora_manager.make_ready()
    path = write(tmp_path, "ink", 1)
    lora_manager.make_ready()
    assert torch.equal(answer(denoiser), plain)
    assert not lora_manager.rack.attached
    lora_manager.apply(use("ink"))
    worn = answer(denoiser)
    lora_manager.apply([])
    late = make_manager(denoiser, tmp_path)
    late.apply(use("ink"))
    assert torch.equal(answer(denoiser), worn)
    late.apply([])
    make_manager(denoiser, path).make_ready()  # no folder: nobody has asked for a LoRA yet


def test_a_lora_from_before_the_base_read_layouts_changes_what_it_changed(
    tmp_path: Path, denoiser: Denoiser
) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    pair = {
        "transformer.img_in.lora_A.weight": torch.randn(3, 16),
        "transformer.img_in.lora_B.weight": torch.randn(32, 3),
    }
    save_file(pair, folder / "before.safetensors")
    make_manager(denoiser, folder).apply(use("before"))
    worn = answer(denoiser)
    reader = with_layout(denoiser, 3)
    torch.nn.init.normal_(reader.transformer.img_in.weight.data[:, 16:])
    make_manager(reader, folder).apply(use("before"))
    torch.testing.assert_close(answer(reader), worn)


def test_a_lora_with_any_other_number_of_inputs_is_refused(tmp_path: Path, denoiser: Denoiser) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    pair = {
        "transformer.img_in.lora_A.weight": torch.randn(3, 20),
        "transformer.img_in.lora_B.weight": torch.randn(32, 3),
    }
    save_file(pair, folder / "wrong.safetensors")
    with pytest.raises(LoraError, match="img_in"):
        make_manager(with_layout(denoiser, 3), folder).apply(use("wrong"))

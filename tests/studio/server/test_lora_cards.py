"""What clients see of the folder of LoRAs, now and after a file has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.studio.server.lora_files import cards_with
from tests.studio.server.pictures import png_bytes

from allaprima.studio.server.lora_cards import LoraCards


def test_a_file_that_declares_nothing_is_told_by_its_layers(tmp_path: Path) -> None:
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    halves = {f"{key}.lora_down.weight": torch.zeros(4, 2048), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    save_file(halves, tmp_path / "turbo.safetensors")
    (tmp_path / "turbo-1.safetensors").write_bytes(b"not a LoRA")
    cards = LoraCards(tmp_path / "none", behind=tmp_path)
    assert [(card.name, card.family) for card in cards.all()] == [("turbo", "sdxl")]
    assert cards.find("turbo-1") is cards.find("ink") is None


def test_a_public_accelerator_is_known_by_its_name(tmp_path: Path) -> None:
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    halves = {f"{key}.lora_down.weight": torch.zeros(4, 2048), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    for name in ("ink", "sdxl_lightning_4step_lora"):
        save_file(halves, tmp_path / f"{name}.safetensors")
    cards = LoraCards(tmp_path)
    assert cards.accelerators() == ("sdxl_lightning_4step_lora",)
    ink, lightning = cards.all()
    assert (ink.accelerator, ink.steps) == (None, None)
    assert (lightning.accelerator, lightning.steps) == ("SDXL-Lightning", 4)
    assert (lightning.schedule, lightning.guidance) == ("trailing", 1.0)
    assert cards.find("sdxl_lightning_4step_lora") == lightning
    assert LoraCards(tmp_path / "ink.safetensors").accelerators() == ()


def test_the_folder_is_looked_at_with_every_call(tmp_path: Path) -> None:
    cards = LoraCards(tmp_path / "loras")
    assert cards.all() == []
    cards_with(tmp_path / "loras", "ink", steps="4")
    (card,) = cards.all()
    assert (card.name, card.steps, card.guidance, card.preview) == ("ink", 4, None, None)
    cards_with(tmp_path / "loras", "ink", steps="12")
    (tmp_path / "loras" / "ink.preview.png").write_bytes(png_bytes())
    (card,) = cards.all()
    assert card.steps == 12
    assert card.preview == tmp_path / "loras" / "ink.preview.png"
    assert cards.find("../ink") is None


def test_a_link_beside_a_lora_is_no_picture_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(png_bytes())
    cards = cards_with(tmp_path / "loras", "ink")
    (tmp_path / "loras" / "ink.png").symlink_to(tmp_path / "secret")
    (card,) = cards.all()
    assert card.preview is None


def test_a_list_that_is_known_costs_a_look_at_each_file(tmp_path: Path) -> None:
    cards = cards_with(tmp_path, "a0", family="vignette")
    for number in range(1, 400):
        (tmp_path / f"a{number}.safetensors").write_bytes((tmp_path / "a0.safetensors").read_bytes())
    os.utime(tmp_path, (0, 0))  # a folder that has not just changed
    first = cards.all()
    assert len(first) == 400
    started = time.process_time()
    assert cards.all() is first
    assert time.process_time() - started < 0.2


def test_changes_are_noticed(tmp_path: Path) -> None:
    cards = cards_with(tmp_path, "ink", steps="2")
    os.utime(tmp_path, (0, 0))
    assert [(card.name, card.steps, card.preview) for card in cards.all()] == [("ink", 2, None)]
    cards_with(tmp_path, "ink", steps="12")  # written over: the folder's time may stay
    os.utime(tmp_path, (0, 0))
    assert [card.steps for card in cards.all()] == [12]
    cards_with(tmp_path, "wash")
    assert [card.name for card in cards.all()] == ["ink", "wash"]
    (tmp_path / "ink.png").write_bytes(b"")
    assert [card.preview for card in cards.all()] == [tmp_path / "ink.png", None]
    (tmp_path / "ink.safetensors").unlink()
    assert [card.name for card in cards.all()] == ["wash"]

"""What an answer tells of the LoRAs that a picture was painted with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.live_clients import dial, say
from tests.tiny_sdxl import WIDTH, write_tiny_sdxl

from allaprima.core.model_hash import ModelHash
from allaprima.core.picture_files import read_infotext
from allaprima.paint.lora.files.tensor_hash import tensor_hash
from allaprima.paint.painter import Painter
from allaprima.studio.server.live_messages import unpack_frame
from allaprima.studio.server.lora_cards import LoraCards

UNET = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
FIRST = "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj"
SECOND = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
BODY = {"steps": 1, "width": 64, "height": 64, "seed": 3}
PARTS = {"ink": ["unet", "clip_l"], "words": ["clip_g"]}


def write_pair(path: Path, *layers: str) -> None:
    """Write a LoRA that changes `layers`, each spelled as some program does."""
    tensors = {}
    for layer in layers:
        down, up = ("lora_down", "lora_up") if layer.startswith("lora_te") else ("lora_A", "lora_B")
        tensors[f"{layer}.{down}.weight"] = torch.ones(2, WIDTH)
        tensors[f"{layer}.{up}.weight"] = torch.ones(WIDTH, 2)
    save_file(tensors, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ours").mkdir()
    write_pair(tmp_path / "ours" / "ink.safetensors", UNET, FIRST)
    write_pair(tmp_path / "ours" / "words.safetensors", SECOND)
    return tmp_path / "ours"


@pytest.fixture
def sdxl(serve: Serve, folder: Path, tmp_path: Path) -> Served:
    painter = Painter.load(str(write_tiny_sdxl(tmp_path / "xl")), lora_dir=folder, device="cpu")
    (tmp_path / "xl.safetensors").write_bytes(b"weights")
    model_hash = ModelHash(tmp_path / "xl.safetensors", kept=tmp_path / "hashes.json")
    painter = replace(painter, model_hash=model_hash)
    return serve(painters={painter.base.name: painter}, loras=LoraCards(folder))


def told(folder: Path, **weights: float) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "weight": weight,
            "hash": tensor_hash(folder / f"{name}.safetensors"),
            "parts": PARTS[name],
        }
        for name, weight in weights.items()
    ]


def test_a1111s_info_tells_which_parts_of_a_lora_were_painted_with(sdxl: Served, folder: Path) -> None:
    prompt = "a cat <lora:ink:0.8><lora:words:1><lora:ink:0.2>"
    with sdxl.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json={**BODY, "cfg_scale": 1, "prompt": prompt})
        without = client.post("/sdapi/v1/txt2img", json={**BODY, "prompt": "a cat <lora:words:0>"})
    info = json.loads(answer.json()["info"])
    assert info["loras"] == told(folder, ink=1.0, words=1.0)
    assert "Lora hashes" in info["infotexts"][0]
    assert info["sd_model_hash"] == hashlib.sha256(b"weights").hexdigest()[:10]
    assert f"Model hash: {info['sd_model_hash']}" in info["infotexts"][0]
    assert json.loads(without.json()["info"])["loras"] == []


def test_a_job_tells_it_of_each_picture(sdxl: Served, folder: Path) -> None:
    asked = {**BODY, "prompt": "a cat", "loras": [{"name": "words", "weight": -0.5}]}
    with sdxl.client() as client:
        events = dict(events_of(client.post("/api/jobs", json={"request": asked}).text))
        plain = dict(events_of(client.post("/api/jobs", json={"request": {**asked, "loras": []}}).text))
    assert events["done"]["pictures"][0]["loras"] == told(folder, words=-0.5)
    assert "loras" not in plain["done"]["pictures"][0]


def test_live_frames_wear_a_tag_and_repeat_the_words_as_they_were_written(sdxl: Served) -> None:
    jpegs, headers = [], []
    for prompt in ("a cat <lora:ink:1>", "a cat"):
        with dial(sdxl) as socket:
            say(socket, 1, prompt, width=64, height=64, steps=1, seed=3, guidance=1.0)
            message = socket.recv(timeout=10)
            assert isinstance(message, bytes)
            header, jpeg = unpack_frame(message)
            headers.append(header["prompt"])
            jpegs.append(jpeg)
    assert headers == ["a cat <lora:ink:1>", "a cat"]
    tagged, plain = (read_infotext(BytesIO(jpeg)) or "" for jpeg in jpegs)
    assert ("<lora:ink:1.0>" in tagged, "<lora:ink:1.0>" in plain) == (True, False)

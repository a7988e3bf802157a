"""Live painting with LoRAs: real classes, real files, sessions that wear different ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.studio.engine.watched import Bench, Client
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter

INK, OIL = LoraUse(name="ink"), LoraUse(name="oil", weight=0.5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("loras")
    weights, loras = write_tiny_vignette(folder / "weights"), folder / "loras"
    loras.mkdir()
    for seed, name in enumerate(("ink", "oil")):
        draw = torch.Generator().manual_seed(seed)
        tensors = {}
        for key in ("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_out.0"):
            tensors[f"transformer.{key}.lora_A.weight"] = torch.randn(4, 32, generator=draw)
            tensors[f"transformer.{key}.lora_B.weight"] = torch.randn(32, 4, generator=draw)
        save_file(tensors, loras / f"{name}.safetensors")
    quick = {
        "allaprima.sigmas": "[1.0, 0.3, 0.2, 0.1, 0.0]",
        "allaprima.steps": "4",
        "allaprima.sampler": "lcm",
    }
    save_file(tensors, loras / "quick.safetensors", quick)
    return weights, loras


def load(folders: tuple[Path, Path]) -> Painter:
    return Painter.load(folder=folders[0], lora_dir=folders[1], device="cpu")


def as_painted(painter: Painter, loras: tuple[LoraUse, ...], steps: int) -> bytes:
    request = GenerationRequest(prompt="a cat", steps=steps, guidance=1.0, loras=loras)
    # Files are not hashed between a keystroke and its frame.
    return replace(painter.paint(request), loras=()).encode("jpeg")


def last(client: Client) -> bytes:
    assert client.failures == []
    assert client.frames[-1].final
    return client.frames[-1].jpeg


def test_sessions_wear_their_own_loras_and_take_turns(folders: tuple[Path, Path]) -> None:
    bench = Bench(painter=load(folders))
    worn = [(), (INK,), (OIL, INK)]
    clients = [bench.client() for _ in worn]
    for client, loras in zip(clients, worn, strict=True):
        client.ask("a cat", steps=4, loras=loras)
    request = GenerationRequest(prompt="a cat", steps=6, loras=(OIL,))
    _, updates = bench.submit(request)
    bench.run()
    painter = load(folders)
    for client, loras in zip(clients, worn, strict=True):
        assert last(client) == as_painted(painter, loras, 4)
    assert updates[-1].pictures == (painter.paint(request),)  # type: ignore[union-attr]


def test_a_slider_repaints_and_encodes_nothing(folders: tuple[Path, Path]) -> None:
    bench = Bench(painter=load(folders))
    client = bench.client()
    client.ask("a cat", steps=1)
    bench.run()
    plain = last(client)
    for weight in (0.25, 0.5, 0.75):
        client.ask("a cat", steps=1, loras=(LoraUse(name="ink", weight=weight),))
        bench.run()
    assert len({frame.jpeg for frame in client.frames}) == 4
    assert bench.stats.counters["texts_encoded"] == 1
    client.ask("a cat", steps=1)
    bench.run()
    assert last(client) == plain


def test_a_lora_is_painted_with_as_it_was_trained(folders: tuple[Path, Path]) -> None:
    bench = Bench(painter=load(folders))
    client = bench.client()
    quick = (LoraUse(name="quick"),)
    client.ask("a cat", steps=4, loras=quick)
    bench.run()
    painter = load(folders)
    assert last(client) == as_painted(painter, quick, 4)
    assert last(client) != as_painted(painter, (OIL,), 4)  # the same matrices at the base's own levels


def test_a_lora_that_is_not_there_is_told(folders: tuple[Path, Path]) -> None:
    bench = Bench(painter=load(folders))
    client = bench.client()
    client.ask("a cat", steps=1, loras=(LoraUse(name="../ink"),))
    client.ask("a cat", steps=1, loras=(LoraUse(name="chalk"),))
    bench.run()
    assert "chalk" in client.failures[0].message
    assert client.frames == []


def test_the_first_look_wears_the_turbo_for_one_step(folders: tuple[Path, Path], tmp_path: Path) -> None:
    kept = load_file(folders[1] / "ink.safetensors")
    turbo, one = LoraUse(name="turbo", weight=0.75), LoraUse(name="turbo-1", weight=0.75)
    for name, steps in (("turbo", 4), ("turbo-1", 1)):
        tensors = {key: tensor.roll(steps, 0) for key, tensor in kept.items()}
        told = {"allaprima.family": "vignette", "allaprima.steps": str(steps)}
        save_file(tensors, tmp_path / f"{name}.safetensors", told)
    (tmp_path / "ink.safetensors").hardlink_to(folders[1] / "ink.safetensors")
    bench, painter = Bench(painter=load((folders[0], tmp_path))), load((folders[0], tmp_path))
    client = bench.client()
    client.ask("a cat", steps=4, loras=(turbo, INK))
    bench.run()
    wanted = [as_painted(painter, (one, INK), 1), *(as_painted(painter, (turbo, INK), n) for n in (2, 4))]
    assert [frame.jpeg for frame in client.frames] == wanted
    client.ask("a cat", steps=1, loras=(turbo, INK))  # a picture, no look: it wears what it says
    bench.run()
    assert last(client) == as_painted(painter, (turbo, INK), 1)

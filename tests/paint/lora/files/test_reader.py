"""A reader that remembers layouts answers as one that does not, and refuses what that one refuses."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_pipeline import QwenImageLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from safetensors.torch import save as to_bytes
from tests import tiny_loras
from tests.paint.lora.files.samples import FAMILIES, same_updates, through_diffusers
from tests.tiny_loras import (
    ATTENTION,
    SDXL_ONLY,
    SPELLINGS,
    Networks,
    changed,
    make_updates,
    qwen_networks,
    save,
    sdxl_networks,
    spell,
)
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.reader import LoraReader, read_lora
from allaprima.paint.lora.update import Dense, delta_of


class Attention(nn.Module):
    """Two linear layers and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(16, 24)
        self.to_k = nn.Linear(16, 24)
        self.conv = nn.Conv2d(4, 8, 3)


NETWORKS = {"transformer": Attention()}
SHAPES = {
    "to_q.lora_A": (4, 16), "to_q.lora_B": (24, 4),
    "to_k.lora_A": (4, 16), "to_k.lora_B": (24, 4),
    "conv.lora_A": (4, 4, 3, 3), "conv.lora_B": (8, 4, 1, 1),
}  # fmt: skip


def tensors(seed: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        f"transformer.{name}.weight": torch.randn(shape, generator=draw).to(dtype)
        for name, shape in SHAPES.items()
    }


def written(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: dict[str, str] | None = None,
    alpha: float | None = None,
) -> Path:
    alphas = (
        {}
        if alpha is None
        else {f"transformer.{name}.alpha": torch.tensor(alpha) for name in ("to_q", "to_k", "conv")}
    )
    path.write_bytes(to_bytes({**tensors, **alphas}, metadata))
    return path


def same(one: Lora, other: Lora) -> bool:
    return (
        one.updates.keys() == other.updates.keys()
        and one.unmatched == other.unmatched
        and one.metadata == other.metadata
        and all(torch.equal(delta_of(one.updates[key]), delta_of(other.updates[key])) for key in one.updates)
    )


@pytest.fixture
def reader(tmp_path: Path) -> LoraReader:
    """One that has seen the layout with and without alphas, and with and without metadata."""
    reader = LoraReader(NETWORKS)
    for alpha in (None, 4.0):
        for metadata in (None, {"title": "first"}):
            reader.read(written(tmp_path / "seen.safetensors", tensors(0), metadata, alpha))
    return reader


@pytest.mark.parametrize("alpha", [None, 4.0, 2.0, 1.3, -3.0, 0.0])
@pytest.mark.parametrize("metadata", [None, {}, {"title": "another, longer"}, {"allaprima.steps": "4"}])
def test_what_is_remembered_does_not_show(
    tmp_path: Path, reader: LoraReader, alpha: float | None, metadata: dict[str, str] | None
) -> None:
    for seed in (1, 2):
        path = written(tmp_path / "a.safetensors", tensors(seed), metadata, alpha)
        assert same(reader.read(path), read_lora(path, NETWORKS))
        reader.make_ready()


def test_memory_that_was_ready_is_given_once(tmp_path: Path, reader: LoraReader) -> None:
    paths = [written(tmp_path / f"{seed}.safetensors", tensors(seed)) for seed in (1, 2)]
    reader.make_ready()
    loras = [reader.read(path) for path in paths]
    assert all(same(lora, read_lora(path, NETWORKS)) for lora, path in zip(loras, paths, strict=True))


def test_a_configuration_inside_counts_in_a_layout_that_is_known(tmp_path: Path, reader: LoraReader) -> None:
    config = json.dumps({"transformer.r": 4, "transformer.lora_alpha": 2})
    path = written(tmp_path / "a.safetensors", tensors(1), {"lora_adapter_metadata": config})
    halved, plain = reader.read(path), read_lora(written(tmp_path / "b.safetensors", tensors(1)), NETWORKS)
    for key, update in plain.updates.items():
        assert torch.equal(delta_of(halved.updates[key]), delta_of(update) / 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", SHAPES)
def test_numbers_are_judged_in_every_file(tmp_path: Path, reader: LoraReader, bad: float, name: str) -> None:
    damaged = tensors(1)
    damaged[f"transformer.{name}.weight"].view(-1)[-1] = bad
    with pytest.raises(LoraError, match=f"{name}.*NaN or infinity"):
        reader.read(written(tmp_path / "a.safetensors", damaged))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 1e35])
def test_alphas_are_judged_in_every_file(tmp_path: Path, reader: LoraReader, alpha: float) -> None:
    with pytest.raises(LoraError):
        reader.read(written(tmp_path / "a.safetensors", tensors(1), alpha=alpha))


def test_products_are_judged_in_every_file(tmp_path: Path, reader: LoraReader) -> None:
    huge = {name: tensor * 1e20 for name, tensor in tensors(1).items()}
    with pytest.raises(LoraError, match="overflow"):
        reader.read(written(tmp_path / "a.safetensors", huge))


def test_one_large_half_beside_a_small_one_is_no_reason_to_refuse(tmp_path: Path, reader: LoraReader) -> None:
    uneven = {name: tensor * (1e20 if "_A" in name else 1e-20) for name, tensor in tensors(1).items()}
    path = written(tmp_path / "a.safetensors", uneven)
    assert same(reader.read(path), read_lora(path, NETWORKS))


@pytest.mark.parametrize("change", [-1, 1, 64])
def test_another_length_under_a_known_header(tmp_path: Path, reader: LoraReader, change: int) -> None:
    path = written(tmp_path / "a.safetensors", tensors(1))
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(LoraError, match="whole"):
        reader.read(path)


@pytest.mark.parametrize(
    "metadata", ['{"a": 1}', '{"a": "b", "a": "c"}', '{"a": "b"', "{]", '{"a":' * 100_000, '{"a": "\\ud8"}']
)
def test_metadata_are_judged_before_a_known_layout(tmp_path: Path, reader: LoraReader, metadata: str) -> None:
    path = written(tmp_path / "a.safetensors", tensors(1))
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = b'{"__metadata__":' + metadata.encode() + b"," + content[9 : 8 + length]
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    with pytest.raises(LoraError):
        reader.read(path)


def test_a_key_twice_is_found_where_the_rest_is_known(tmp_path: Path, reader: LoraReader) -> None:
    path = written(tmp_path / "a.safetensors", tensors(1), {"title": "x"})
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = b'{"__metadata__":{"title":"y"},' + content[9 : 8 + length]
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    with pytest.raises(LoraError, match="twice"):
        reader.read(path)


def test_metadata_of_another_base_are_heard(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", tensors(1), {"modelspec.architecture": "qwen-image"})
    with pytest.raises(LoraError, match="Qwen-Image"):
        LoraReader(NETWORKS, family="sdxl").read(path)


def test_whole_changes_are_read_twice_alike(tmp_path: Path) -> None:
    reader = LoraReader(NETWORKS)
    for seed in (1, 2):
        delta = torch.randn(24, 16, generator=torch.Generator().manual_seed(seed))
        path = written(tmp_path / "a.safetensors", {"transformer.to_q.diff": delta})
        update = reader.read(path).updates["transformer.to_q"]
        assert isinstance(update, Dense)
        assert torch.equal(update.delta, delta)


@pytest.mark.parametrize("dialect", [name for name, spelling in SPELLINGS.items() if spelling[3]])
def test_alpha_is_multiplied_in(tmp_path: Path, dialect: str) -> None:
    networks = qwen_networks() if dialect not in SDXL_ONLY else sdxl_networks()
    updates = make_updates(networks, r"attn1?\.to_q$", rank=64)
    lora = read_lora(save(tmp_path / "a.safetensors", spell(updates, dialect, alpha=8)), networks)
    same_updates(lora, updates)  # 8 / 64 is a power of two, so nothing was rounded
    without = {key: tensor for key, tensor in spell(updates, dialect, alpha=8).items() if "alpha" not in key}
    eight_times = read_lora(save(tmp_path / "b.safetensors", without), networks)
    for key, update in eight_times.updates.items():
        assert torch.equal(delta_of(update), delta_of(updates[key]) * 8)


@pytest.mark.parametrize(
    ("family", "dialect", "pattern"),
    [
        ("sdxl", "diffusers", ATTENTION),
        ("sdxl", "diffusers", r"^unet.*(conv\d?|conv_shortcut|time_emb_proj|proj_in|net\.2)$"),
        ("sdxl", "kohya, SDXL", ATTENTION),
        ("qwen-image", "diffusers", r"attn|mlp|mod"),
        ("qwen-image", "kohya", r"attn\.to_|img_mod"),
        ("qwen-image", "LightX2V", r"attn|mlp"),
        ("qwen-image", "diffusion_model", r"attn|mlp"),
    ],
)
def test_pictures_equal_those_of_diffusers(tmp_path: Path, family: str, dialect: str, pattern: str) -> None:
    networks = FAMILIES[family]()
    has_alpha = SPELLINGS[dialect][3]
    tensors = spell(make_updates(networks, pattern, rank=4), dialect, alpha=1.0 if has_alpha else None)
    lora = read_lora(save(tmp_path / "a.safetensors", tensors), networks)
    run: Callable[[Networks], Tensor] = tiny_loras.run_sdxl if family == "sdxl" else tiny_loras.run_qwen
    mixin = StableDiffusionXLLoraLoaderMixin if family == "sdxl" else QwenImageLoraLoaderMixin
    with torch.inference_mode():
        plain = run(networks)
        ours = run(changed(networks, {key: delta_of(update) for key, update in lora.updates.items()}))
        theirs = run(through_diffusers(mixin, networks, tensors))
    assert (plain - ours).abs().max() > 0.01, "the LoRA is too weak to tell"
    assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "stray",
    [
        torch.arange(77),
        torch.tensor(True),
        torch.zeros(5, dtype=torch.uint8),
        torch.zeros(0, 4),
        torch.zeros(3).half(),
    ],
    ids=["list of whole numbers", "flag", "bytes", "nothing", "float"],
)
def test_what_belongs_to_no_layer_is_told_and_left_out(
    tmp_path: Path, reader: LoraReader, stray: Tensor
) -> None:
    plain = reader.read(save(tmp_path / "plain.safetensors", tensors(1)))
    lora = reader.read(save(tmp_path / "ink.safetensors", {**tensors(1), "position_ids": stray}))
    assert lora.unmatched == ("position_ids",)
    for key, update in plain.updates.items():
        assert torch.equal(delta_of(lora.updates[key]), delta_of(update))
    bad = torch.zeros(0, 16) if stray.is_floating_point() else torch.ones(4, 16, dtype=torch.uint8)
    file = save(tmp_path / "bad.safetensors", {**tensors(1), "transformer.to_q.lora_A.weight": bad})
    with pytest.raises(LoraError, match=r"to_q\.lora_A\.weight' has (dtype|shape)"):
        reader.read(file)

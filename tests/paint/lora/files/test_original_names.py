"""LoRAs for FLUX.2 klein and Z-Image as their authors name the layers, against diffusers' own conversion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_z_image_transformer_checkpoint_to_diffusers,
)
from safetensors.torch import load_file, save_file
from tests import tiny_klein, tiny_z_image
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.core.request import LoraUse
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import delta_of
from allaprima.paint.painter import Painter

RANK = 2

KLEIN = {
    "double_blocks.0.img_attn.qkv": (96, 32), "double_blocks.0.txt_attn.qkv": (96, 32),
    "double_blocks.0.img_attn.proj": (32, 32), "double_blocks.0.txt_attn.proj": (32, 32),
    "double_blocks.0.img_mlp.0": (192, 32), "double_blocks.0.img_mlp.2": (32, 96),
    "double_blocks.0.txt_mlp.0": (192, 32), "double_blocks.0.txt_mlp.2": (32, 96),
    "single_blocks.0.linear1": (288, 32), "single_blocks.1.linear1": (288, 32), "single_blocks.1.linear2": (32, 128),
    "double_stream_modulation_img.lin": (192, 32), "double_stream_modulation_txt.lin": (192, 32),
    "single_stream_modulation.lin": (96, 32), "img_in": (32, 16), "txt_in": (32, 48),
    "time_in.in_layer": (32, 256), "time_in.out_layer": (32, 32),
    "final_layer.linear": (16, 32), "final_layer.adaLN_modulation.1": (64, 32),
}  # fmt: skip
"""Layers of a klein of width 32 as Black Forest Labs name them, and their shapes."""

Z_IMAGE = {
    "layers.0.attention.qkv": (96, 32), "layers.1.attention.qkv": (96, 32), "layers.0.attention.out": (32, 32),
    "noise_refiner.0.attention.qkv": (96, 32), "context_refiner.0.attention.out": (32, 32),
    "layers.0.feed_forward.w1": (85, 32), "layers.1.feed_forward.w2": (32, 85),
    "layers.0.adaLN_modulation.0": (128, 32), "x_embedder": (32, 16), "cap_embedder.1": (32, 16),
    "t_embedder.mlp.0": (1024, 256), "final_layer.linear": (16, 32), "final_layer.adaLN_modulation.1": (32, 32),
}  # fmt: skip

Family = tuple[
    str, dict[str, tuple[int, int]], Callable[[], nn.Module], Callable[[dict[str, Any]], dict[str, Any]]
]
FAMILIES: dict[str, Family] = {
    "klein": ("flux2-klein", KLEIN, tiny_klein.transformer, convert_flux2_transformer_checkpoint_to_diffusers),
    "z-image": ("z-image", Z_IMAGE, tiny_z_image.transformer, convert_z_image_transformer_checkpoint_to_diffusers),
}  # fmt: skip


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def halves(shapes: dict[str, tuple[int, int]]) -> dict[str, tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(3)
    return {
        name: (torch.randn(RANK, width, generator=draw), torch.randn(out, RANK, generator=draw) / 8)
        for name, (out, width) in shapes.items()
    }


def expected_deltas(family: Family, scale: float = 1.0) -> dict[str, Tensor]:
    """Return what diffusers makes of the changes as if they were weights of the authors' file."""
    _, shapes, _, convert = family
    whole = {f"{name}.weight": scale * up @ down for name, (down, up) in halves(shapes).items()}
    return {f"transformer.{name.removesuffix('.weight')}": delta for name, delta in convert(whole).items()}


def assert_changes(lora: Lora, deltas: dict[str, Tensor]) -> None:
    assert lora.unmatched == ()
    assert lora.updates.keys() == deltas.keys()
    for key, delta in deltas.items():
        torch.testing.assert_close(delta_of(lora.updates[key]), delta, msg=key)


SPELLINGS: dict[str, Callable[[str], tuple[str, str, str]]] = {
    "ComfyUI": lambda n: (f"diffusion_model.{n}.lora_A.weight", f"diffusion_model.{n}.lora_B.weight", ""),
    "ComfyUI, long": lambda n: (
        f"model.diffusion_model.{n}.lora_down.weight", f"model.diffusion_model.{n}.lora_up.weight",
        f"model.diffusion_model.{n}.alpha",
    ),
    "kohya": lambda n: (
        f"lora_unet_{n.replace('.', '_')}.lora_down.weight", f"lora_unet_{n.replace('.', '_')}.lora_up.weight",
        f"lora_unet_{n.replace('.', '_')}.alpha",
    ),
    "PEFT": lambda n: (f"base_model.model.{n}.lora_A.weight", f"base_model.model.{n}.lora_B.weight", ""),
    "transformer": lambda n: (f"transformer.{n}.lora_A.weight", f"transformer.{n}.lora_B.weight", ""),
    "nothing": lambda n: (f"{n}.lora_A.default.weight", f"{n}.lora_B.default.weight", ""),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_authors_names_are_read_as_diffusers_converts_them(
    family: Family, spelling: str, tmp_path: Path
) -> None:
    name, shapes, make, _ = family
    tensors: dict[str, Tensor] = {}
    for layer, (down, up) in halves(shapes).items():
        at_down, at_up, at_alpha = SPELLINGS[spelling](layer)
        tensors |= {at_down: down, at_up: up, **({at_alpha: torch.tensor(1.0)} if at_alpha else {})}
    save_file(tensors, tmp_path / "a.safetensors")
    scale = 1 / RANK if SPELLINGS[spelling]("x")[2] else 1.0
    lora = read_lora(tmp_path / "a.safetensors", {"transformer": make()}, family=name)
    assert_changes(lora, expected_deltas(family, scale))


def test_diffusers_own_names_are_read_too(family: Family, tmp_path: Path) -> None:
    name, _, make, _ = family
    network = make()
    layers = {path: layer for path, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    pairs = halves({path: (layer.out_features, layer.in_features) for path, layer in layers.items()})
    tensors = {f"transformer.{path}.lora_A.weight": down for path, (down, _) in pairs.items()}
    tensors |= {f"transformer.{path}.lora_B.weight": up for path, (_, up) in pairs.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    lora = read_lora(tmp_path / "a.safetensors", {"transformer": network}, family=name)
    assert_changes(lora, {f"transformer.{path}": up @ down for path, (down, up) in pairs.items()})


def test_whole_changes_of_a_fused_layer_are_taken_apart(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(3)
    change = torch.randn(96, 32, generator=draw)
    one, two = torch.randn(3, 4, generator=draw), torch.randn(32, 8, generator=draw)
    save_file(
        {
            "diffusion_model.layers.0.attention.qkv.diff": change,
            "lycoris_layers_1_attention_qkv.lokr_w1": one,
            "lycoris_layers_1_attention_qkv.lokr_w2": two,
        },
        tmp_path / "a.safetensors",
    )
    lora = read_lora(
        tmp_path / "a.safetensors", {"transformer": tiny_z_image.transformer()}, family="z-image"
    )
    for layer, delta in (("layers.0", change), ("layers.1", torch.kron(one, two))):
        parts = [
            delta_of(lora.updates[f"transformer.{layer}.attention.{part}"])
            for part in ("to_q", "to_k", "to_v")
        ]
        torch.testing.assert_close(torch.cat(parts), delta)


def test_a_layer_that_is_changed_by_itself_and_as_a_part_is_refused(tmp_path: Path) -> None:
    down, up = torch.ones(1, 32), torch.ones(32, 1)
    tensors = {
        "layers.0.attention.qkv.lora_A.weight": down, "layers.0.attention.qkv.lora_B.weight": torch.ones(96, 1),
        "layers.0.attention.to_k.lora_A.weight": down.clone(), "layers.0.attention.to_k.lora_B.weight": up,
    }  # fmt: skip
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match=r"to_k twice, once within .*qkv; expected it once"):
        read_lora(tmp_path / "a.safetensors", {"transformer": tiny_z_image.transformer()}, family="z-image")


@pytest.mark.parametrize("kind", ["klein", "z-image"])
def test_a_worn_lora_paints_as_merged_weights_do(kind: str, tmp_path: Path) -> None:
    family = FAMILIES[kind]
    write = tiny_klein.write_tiny_klein if kind == "klein" else tiny_z_image.write_tiny_z_image
    folder = write(tmp_path / "base")
    merged = Path(shutil.copytree(folder, tmp_path / "merged" / "base"))
    weights = merged / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    for key, delta in expected_deltas(family).items():
        state[f"{key.removeprefix('transformer.')}.weight"] += delta
    save_file(state, weights, {"format": "pt"})
    tensors: dict[str, Tensor] = {}
    for layer, (down, up) in halves(family[1]).items():
        tensors |= {
            f"diffusion_model.{layer}.lora_A.weight": down,
            f"diffusion_model.{layer}.lora_B.weight": up,
        }
    (tmp_path / "loras").mkdir()
    save_file(tensors, tmp_path / "loras" / "ink.safetensors")

    given: dict[str, Any] = {"prompt": "a cat", "seed": 5, "width": 64, "height": 64, "steps": 2}
    painter = Painter.load(str(folder), lora_dir=tmp_path / "loras", device="cpu")
    worn = painter.paint(painter.request(**given, loras=(LoraUse(name="ink"),)))
    plain = painter.paint(painter.request(**given))
    other = Painter.load(str(merged), device="cpu")
    expected = other.paint(other.request(**given))
    levels = [torch.tensor(list(picture.rgb), dtype=torch.int16) for picture in (worn, expected, plain)]
    assert (levels[0] - levels[1]).abs().max() <= 1
    assert (levels[2] - levels[1]).abs().max() > 8


@pytest.mark.parametrize(
    ("layers", "declared", "base", "told"),
    [
        ({"single_blocks.0.linear2": (3072, 15360)}, None, "klein", "is a LoRA for FLUX;"),
        ({"single_blocks.0.linear2": (3072, 12288)}, None, "z-image", "is a LoRA for FLUX.2 klein;"),
        ({"transformer_blocks.4.attn.to_q": (3072, 3072)}, None, "z-image", "is a LoRA for FLUX.2 klein;"),
        ({"transformer_blocks.59.attn.to_q": (3072, 3072)}, None, "klein", "is a LoRA for Qwen-Image;"),
        ({"layers.3.attention.qkv": (11520, 3840)}, None, "klein", "is a LoRA for Z-Image;"),
        ({"layers.3.attention.qkv": (6912, 2304)}, None, "z-image", "is a LoRA for Lumina 2;"),
        ({"double_blocks.0.img_attn.qkv": (9216, 3072)}, "Flux.2-klein-base-4B", "z-image", "FLUX.2 klein;"),
    ],
)
def test_a_lora_for_another_family_names_it(
    layers: dict[str, tuple[int, int]], declared: str | None, base: str, told: str, tmp_path: Path
) -> None:
    tensors: dict[str, Tensor] = {}
    for layer, (down, up) in halves(layers).items():
        tensors |= {
            f"diffusion_model.{layer}.lora_A.weight": down,
            f"diffusion_model.{layer}.lora_B.weight": up,
        }
    metadata = {"modelspec.architecture": declared} if declared else {"x": json.dumps({})}
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    name, _, make, _ = FAMILIES[base]
    with pytest.raises(LoraError, match=told):
        read_lora(tmp_path / "a.safetensors", {"transformer": make()}, family=name)

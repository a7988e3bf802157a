from __future__ import annotations

from pathlib import Path

import torch
from tests.paint.lora.files.samples import CONV, LINEAR, random
from tests.tiny_loras import (
    make_updates,
    qwen_networks,
    save,
    sdxl_networks,
    spell,
)
from torch import Tensor, nn

from allaprima.paint.lora.files.algebra import scaled
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import LowRank, delta_of


def test_a_scale_that_would_round_in_half_precision_is_kept_in_float32(tmp_path: Path) -> None:
    updates = make_updates(qwen_networks(), r"0\.attn\.to_q$", rank=3)
    key = next(iter(updates))
    half = {name: tensor.half() for name, tensor in spell(updates, "LightX2V").items()}
    name = key.removeprefix("transformer.")
    half[f"{name}.alpha"] = torch.tensor(2.0)
    update = read_lora(save(tmp_path / "a.safetensors", half), qwen_networks()).updates[key]
    assert isinstance(update, LowRank)
    assert (update.down.dtype, update.up.dtype) == (torch.float16, torch.float16)
    assert torch.equal(scaled(update.up, update.scale), half[f"{name}.lora_up.weight"].float() * (2.0 / 3))


def read_one(tmp_path: Path, key: str, parts: dict[str, Tensor]) -> Tensor:
    """Return the change that kohya-named tensors make of one layer."""
    named = {
        f"lora_unet_{key.removeprefix('unet.').replace('.', '_')}.{part}": t for part, t in parts.items()
    }
    lora = read_lora(save(tmp_path / "one.safetensors", named), sdxl_networks())
    assert list(lora.updates) == [key]
    return delta_of(lora.updates[key])


def test_locon_with_a_core(tmp_path: Path) -> None:
    down, mid, up = random(3, 8, 1, 1), random(3, 3, 3, 3), random(8, 3, 1, 1)
    parts = {
        "lora_down.weight": down,
        "lora_mid.weight": mid,
        "lora_up.weight": up,
        "alpha": torch.tensor(1.5),
    }
    layers = [nn.Conv2d(8, 3, 1, bias=False), nn.Conv2d(3, 3, 3, bias=False), nn.Conv2d(3, 8, 1, bias=False)]
    for layer, weight in zip(layers, (down, mid, up), strict=True):
        layer.weight.data = weight
    x = random(1, 8, 6, 6)
    delta = read_one(tmp_path, CONV, parts)
    assert torch.allclose(torch.nn.functional.conv2d(x, delta), nn.Sequential(*layers)(x) / 2, atol=1e-4)


def test_loha_with_and_without_cores(tmp_path: Path) -> None:
    a, b, c, d = random(16, 2), random(2, 16), random(16, 2) * 2, random(2, 16) * 3
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d, "alpha": torch.tensor(1.0)}
    assert torch.allclose(read_one(tmp_path, LINEAR, parts), (a @ b) * (c @ d) / 2, atol=1e-5)

    flat = {
        "hada_w1_a": random(8, 2),
        "hada_w1_b": random(2, 72),
        "hada_w2_a": random(8, 2),
        "hada_w2_b": random(2, 72),
    }
    product = (flat["hada_w1_a"] @ flat["hada_w1_b"]) * (flat["hada_w2_a"] @ flat["hada_w2_b"])
    assert torch.allclose(read_one(tmp_path, CONV, flat), product.view(8, 8, 3, 3), atol=1e-5)

    t, a, b = random(2, 2, 3, 3), random(2, 8), random(2, 8) * 2
    cored = {"hada_t1": t, "hada_t2": t, "hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": a, "hada_w2_b": b}
    factor = torch.zeros(8, 8, 3, 3)
    for i in range(2):
        for j in range(2):
            factor += t[i, j] * a[i][:, None, None, None] * b[j][None, :, None, None]
    assert torch.allclose(read_one(tmp_path, CONV, cored), factor**2, atol=1e-4)


def test_lokr_whole_and_in_factors(tmp_path: Path) -> None:
    w1, w2 = random(4, 2), random(4, 8)
    whole = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(1e9)}  # LyCORIS writes nonsense there
    assert torch.allclose(read_one(tmp_path, LINEAR, whole), torch.kron(w1, w2))

    a, b = random(4, 2), random(2, 8)
    halves = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}
    assert torch.allclose(read_one(tmp_path, LINEAR, halves), torch.kron(w1, a @ b) / 2, atol=1e-5)

    t, a, b = random(2, 2, 3, 3), random(2, 4), random(2, 4)
    cored = {"lokr_w1": random(2, 2), "lokr_t2": t, "lokr_w2_a": a, "lokr_w2_b": b}
    second = torch.einsum("ijkl,io,jn->onkl", t, a, b).contiguous()
    expected = torch.kron(random(2, 2)[..., None, None], second)
    assert torch.allclose(read_one(tmp_path, CONV, cored), expected, atol=1e-5)


def test_a_whole_difference(tmp_path: Path) -> None:
    assert torch.equal(read_one(tmp_path, CONV, {"diff": random(8, 8, 3, 3)}), random(8, 8, 3, 3))


def test_a_pointwise_convolution_may_stand_for_a_linear_layer(tmp_path: Path) -> None:
    parts = {"lora_down.weight": random(2, 16, 1, 1), "lora_up.weight": random(16, 2, 1, 1)}
    expected = random(16, 2) @ random(2, 16)
    got = read_one(tmp_path, LINEAR, parts)
    assert got.shape == expected.shape

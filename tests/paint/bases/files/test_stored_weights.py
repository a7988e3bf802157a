from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.quantization import find_quantization
from allaprima.paint.bases.files.stored_weights import read_weights

WEIGHT = torch.linspace(-3, 3, 64).view(8, 8)


def in_fp8(**extra: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {name.replace("__", "."): tensor for name, tensor in extra.items()}
    return {"a.weight": (WEIGHT * 100).to(torch.float8_e4m3fn), "a.bias": torch.ones(8), **named}


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)


def note(**told: object) -> torch.Tensor:
    return torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)


@pytest.mark.parametrize("spelling", ["a__scale_weight", "a__weight_scale"])
@pytest.mark.parametrize("shape", [(), (1,), (8, 1), (8,)])
def test_a_scale_is_applied_in_each_spelling(spelling: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    scale = torch.full(shape, 0.01)
    tensors = in_fp8(**{spelling: scale, "a__scale_input": torch.ones(1), "scaled_fp8": torch.zeros(2)})
    save(tensors, tmp_path / "a.safetensors")
    weights = read_weights(read_header(tmp_path / "a.safetensors"))
    assert set(weights) == {"a.weight", "a.bias"}
    expected = tensors["a.weight"].float() * 0.01
    torch.testing.assert_close(weights["a.weight"].dequantize(torch.float32), expected)


def test_plain_casts_and_what_is_not_quantised_stay_as_they_are(tmp_path: Path) -> None:
    save_file(in_fp8(), tmp_path / "a.safetensors")
    weights = read_weights(read_header(tmp_path / "a.safetensors"))
    assert (weights["a.weight"].format, weights["a.bias"].format) == ("fp8", "plain")
    assert torch.equal(weights["a.weight"].dequantize(torch.float32), in_fp8()["a.weight"].float())


def test_a_weight_that_is_scaled_and_not_quantised_is_scaled(tmp_path: Path) -> None:
    scales = torch.arange(1.0, 9.0)
    save_file({"a.weight": WEIGHT.bfloat16(), "a.weight_scale": scales}, tmp_path / "a.safetensors")
    weight = read_weights(read_header(tmp_path / "a.safetensors"))["a.weight"]
    assert torch.equal(weight.dequantize(torch.float32), WEIGHT.bfloat16().float() * scales[:, None])


def test_a_prefix_chooses_and_names_what_is_read(tmp_path: Path) -> None:
    named = {"p__a__weight": WEIGHT, "q__a__weight": WEIGHT}
    save(in_fp8(**named), tmp_path / "a.safetensors")
    assert list(read_weights(read_header(tmp_path / "a.safetensors"), "p.")) == ["a.weight"]


def test_what_is_written_over_a_mapped_weight_does_not_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save({"a.weight": WEIGHT}, path)
    before = path.read_bytes()
    read_weights(read_header(path))["a.weight"].data.zero_()
    assert path.read_bytes() == before
    assert torch.equal(read_weights(read_header(path))["a.weight"].data, WEIGHT)


def test_weights_off_their_own_size_are_read(tmp_path: Path) -> None:
    """Programs other than safetensors write tensors as they come, so that floats may lie anywhere."""
    header = {
        "a": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]},
    }
    text = json.dumps(header).encode()
    numbers = np.array([1.5, -2.0], dtype=np.float32).tobytes()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0\0\0" + numbers)
    assert read_weights(read_header(tmp_path / "a.safetensors"))["b"].data.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_gguf_is_read_as_its_package_reads_it(kind: str, tmp_path: Path) -> None:
    form = gguf.GGMLQuantizationType[kind]
    numbers = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    stored = gguf.quants.quantize(numbers, form)
    writer = gguf.GGUFWriter(str(tmp_path / "a.gguf"), "qwen_image")
    writer.add_tensor("a.weight", stored, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    weight = read_weights(read_header(tmp_path / "a.gguf"))["a.weight"]
    assert weight.shape == (6, 64)
    expected = torch.from_numpy(gguf.quants.dequantize(stored, form).copy())
    torch.testing.assert_close(weight.dequantize(torch.float32), expected)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (in_fp8(a__weight_scale=torch.ones(3)), r"weight_scale' of shape \(3,\) goes with no weight"),
        (in_fp8(b__weight_scale=torch.ones(1)), "goes with no weight"),
        (in_fp8(a__weight_scale=torch.tensor(float("nan"))), "holds numbers that are not above 0"),
        (in_fp8(a__weight_scale=torch.ones(1), a__scale_weight=torch.ones(1)), "goes with no weight"),
        (in_fp8(a__comfy_quant=note(format="float8_e4m3fn")), "is in fp8 and its scale is not there"),
        ({"a.weight": torch.ones(8, 8, dtype=torch.int8)}, "is in int8 and its scale is not there"),
        (in_fp8(a__comfy_quant=note(format=["nvfp4"])), r"weights in \"\['nvfp4'\]\", which are not read"),
        (
            in_fp8(a__comfy_quant=note(format="nvfp4")),
            "weights in 'nvfp4', which are not read; fetch it in bf16",
        ),
        (
            in_fp8(a__comfy_quant=note(format="int8_tensorwise", convrot=True)),
            r"weights that are rotated \(convrot\)",
        ),
        ({"a.qweight": WEIGHT, "a.wscales": WEIGHT, "a.smooth_factor": WEIGHT}, r"SVDQuant \(nunchaku\)"),
        ({"a.qweight": WEIGHT, "a.qzeros": WEIGHT}, "AWQ or GPTQ"),
        (
            {"a.weight": torch.zeros(8, 1, dtype=torch.uint8), "a.weight.absmax": WEIGHT},
            "bitsandbytes' four bits",
        ),
        (
            {"a.weight": torch.zeros(8, 8, dtype=torch.int8), "a.SCB": torch.ones(8)},
            "bitsandbytes' eight bits",
        ),
        (in_fp8(a__weight_scale=torch.ones(1), a__weight_scale_2=torch.ones(1)), "NVFP4 or another four-bit"),
        (in_fp8(a__weight_scale_inv=torch.ones(1, 1)), "fp8 with a scale for each block"),
        (
            {"a.weight": torch.zeros(8, 8, dtype=torch.uint8)},
            "packed as U8, in a way that nothing in it tells",
        ),
    ],
)
def test_what_cannot_be_read_is_named_with_the_way_out(
    tensors: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save(tensors, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=message):
        read_weights(read_header(tmp_path / "a.safetensors"))


def test_a_file_that_is_marked_as_scaled_and_has_no_scale_is_refused(tmp_path: Path) -> None:
    save({**in_fp8(), "scaled_fp8": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert "without a single scale" in find_quantization(read_header(tmp_path / "a.safetensors")).refusal

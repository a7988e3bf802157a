"""What reading quantised files takes, from their headers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.hollow_files import write_hollow_files

from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import NamedParts
from allaprima.paint.bases.loading import load_base, locate
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.forecast import STAGES, forecast
from allaprima.paint.memory.plan import GIB, choose_plan
from allaprima.paint.memory.reading_cost import ReadingCost, reading_cost

CPU = torch.device("cpu")


def write(folder: Path, stored: str) -> tuple[dict[str, Path], NamedParts]:
    files = write_hollow_files(folder, "medium", transformer=stored, text_encoder=stored)
    return files, NamedParts(text_encoder=str(files["text_encoder"]), vae=str(files["vae"]))


def cost_of(folder: Path, stored: str, dtype: torch.dtype) -> tuple[ReadingCost, Base, dict[str, Path]]:
    files, named = write(folder, stored)
    spec = str(files["transformer"])
    base = load_base(spec, device=CPU, dtype=dtype, named=named, absent=STAGES)
    return reading_cost(locate(spec, [], named), base, dtype), base, files


def word_bytes(base: Base) -> int:
    (encoder,) = base.stages()["text"]
    return encoder.get_parameter("model.language_model.embed_tokens.weight").nbytes


@pytest.mark.parametrize("stored", ["fp8", "Q8_0"])
def test_quantised_layers_stay_where_they_are_mapped(tmp_path: Path, stored: str) -> None:
    cost, base, files = cost_of(tmp_path, stored, torch.bfloat16)
    assert cost.peak == 0
    tensors = read_header(files["transformer"]).tensors.values()
    assert cost.lasting["predict"] == sum(tensor.num_bytes for tensor in tensors if len(tensor.shape) == 1)
    # A prompt reads a few rows of the table of words, and of the norms and biases all.
    assert -word_bytes(base) < cost.lasting["text"] < -0.98 * word_bytes(base)


def test_a_file_of_which_nothing_is_used_as_it_is_is_let_go(tmp_path: Path) -> None:
    cost, _, files = cost_of(tmp_path, "bf16", torch.float32)
    largest = max(sum(one.num_bytes for one in read_header(path).tensors.values()) for path in files.values())
    assert cost.peak == largest
    assert not any(cost.lasting.values())


def test_rounding_on_the_fly_is_counted_while_it_is_read(tmp_path: Path) -> None:
    files, named = write(tmp_path, "bf16")
    spec = str(files["transformer"])
    told = {
        quantize: forecast(spec, device=CPU, dtype=torch.bfloat16, named=named, quantize=quantize)[0]
        for quantize in (None, "int8")
    }
    plain, rounded = (told[quantize].bytes_by_moment for quantize in (None, "int8"))
    assert rounded["predict"] < plain["predict"] - 100 * 2**20
    assert rounded["load"] > rounded["predict"]


def test_qwen_image_2512_in_24_16_and_12_gib(tmp_path: Path) -> None:
    plans = {}
    for stored, text in (("fp8", "fp8"), ("Q8_0", "fp8"), ("Q4_K_M", "Q4_K")):
        files = write_hollow_files(tmp_path / stored, "full", transformer=stored, text_encoder=text)
        named = NamedParts(text_encoder=str(files["text_encoder"]), vae=str(files["vae"]))
        told = forecast(
            str(files["transformer"]), width=1024, height=1024, device=torch.device("cuda"), dtype=torch.bfloat16,
            named=named,
        )  # fmt: skip
        plans[stored] = [str(choose_plan(told, limit * GIB, "cuda").plan) for limit in (24, 16, 12)]
    assert plans == {
        "fp8": ["turns, tiled", "streamed, tiled", "streamed, tiled"],
        "Q8_0": ["turns, tiled", "streamed, tiled", "streamed, tiled"],
        "Q4_K_M": ["resident", "turns, tiled", "streamed, tiled"],
    }

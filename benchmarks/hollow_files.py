"""A Qwen-Image in ComfyUI's files, plain or quantised, of any size, with holes in place of the numbers.

    files = write_hollow_files(folder, "full", transformer="Q4_K_M", text_encoder="fp8")
    files["transformer"], files["text_encoder"], files["vae"]

As `hollow`: real headers, and no room on the disk. A Q4_K_M is mixed so that it has the public file's 13.2 GB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
import torch
from benchmarks.hollow import Size, qwen_networks
from tests.tiny_files import legacy_name, llama_name

_WORDS = {"bf16": ("BF16", 2), "fp8": ("F8_E4M3", 1)}
_MIXED = {"Q4_K_M": ("Q4_K", "Q6_K")}
"""By the mixture's name, what most layers and those of the modulation are stored in."""

LAST = "proj_out.bias"
"""The one tensor that is not zero: guidance keeps the norm of a prediction, and that of nothing is no number."""

Shapes = Mapping[str, tuple[int, ...]]


def write_hollow_files(
    folder: Path, size: Size, *, transformer: str = "fp8", text_encoder: str = "fp8"
) -> dict[str, Path]:
    """Write the three files, and return where they are; formats are bf16, fp8 or GGUF's names."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {part: _shapes(network) for part, network in qwen_networks(size).items()}
    rename: Callable[[str], str] = legacy_name if text_encoder in _WORDS else llama_name
    words = {renamed: shape for name, shape in shapes["text_encoder"].items() if (renamed := rename(name))}
    return {
        "transformer": _write(folder / "qwen_image", shapes["transformer"], transformer, "qwen_image"),
        "text_encoder": _write(folder / "qwen_2.5_vl_7b", words, text_encoder, "qwen2vl"),
        "vae": _write(folder / "qwen_image_vae", shapes["vae"], "bf16", ""),
    }


def _shapes(network: torch.nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _write(path: Path, shapes: Shapes, stored: str, architecture: str) -> Path:
    if stored in _WORDS:
        return _write_safetensors(path.with_suffix(".safetensors"), shapes, *_WORDS[stored])
    return _write_gguf(path.with_suffix(".gguf"), shapes, stored, architecture)


def _write_safetensors(path: Path, shapes: Shapes, word: str, itemsize: int) -> Path:
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + int(np.prod(shape)) * itemsize
        header[name] = {"dtype": word, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
        if LAST in header:
            _fill(file, *(8 + len(text) + place for place in header[LAST]["data_offsets"]))
    return path


def _write_gguf(path: Path, shapes: Shapes, stored: str, architecture: str) -> Path:
    most, modulation = _MIXED.get(stored, (stored, stored))
    writer = gguf.GGUFWriter(str(path), architecture)
    if architecture == "qwen2vl":
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    size, last = 0, (0, 0)
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType[modulation if "_mod." in name else most]
        numbers, num_bytes = gguf.GGML_QUANT_SIZES[kind]
        if len(shape) != 2 or shape[1] % numbers:
            kind, numbers, num_bytes = gguf.GGMLQuantizationType.F32, 1, 4
        row = shape[-1] // numbers * num_bytes if kind != gguf.GGMLQuantizationType.F32 else shape[-1]
        total = int(np.prod(shape)) // numbers * num_bytes
        dtype = np.dtype(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.uint8)
        writer.add_tensor_info(name, (*shape[:-1], row), dtype, total, raw_dtype=kind)
        last = (size, size + total) if name == LAST else last
        size += -(-total // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        begin = end + (-end % 32)
        file.truncate(begin + size)
        _fill(file, begin + last[0], begin + last[1])
    return path


def _fill(file: BinaryIO, begin: int, end: int) -> None:
    """Let numbers from `begin` to `end` be small and positive in any format."""
    file.seek(begin)
    file.write(b"\x38" * (end - begin))

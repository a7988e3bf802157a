"""How the weights of a file are quantised, told from its tensors' names, its number formats and its own notes.

    quantization = find_quantization(read_header(path))
    quantization.name      # "fp8 scaled"
    quantization.refusal   # why its weights cannot be read, or nothing

Scales of fp8 are spelled `scale_weight` (ComfyUI until 2025) or `weight_scale` (diffusers, and ComfyUI since). Newer
files also say each layer's format, as JSON in a tensor `comfy_quant` or in the metadata (`_quantization_metadata`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import FileHeader

SCALES = (".scale_weight", ".weight_scale")
"""Endings of what an fp8 or int8 weight is multiplied with."""

NOTE = ".comfy_quant"
NOTES = "_quantization_metadata"
_MARKS = ("scaled_fp8",)
_INPUT_SCALES = (".scale_input", ".input_scale")
"""Scales of what comes into a layer: a help for products in fp8, which change no weight."""

_RUN = {"float8_e4m3fn": "fp8", "float8_e5m2": "fp8", "int8_tensorwise": "int8"}
"""What a note may call a format that is painted with, and which of ours it is."""

_SEEN = {
    "F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8",
}  # fmt: skip
GGUF_FORMATS = {
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "IQ4_XS", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K",
}  # fmt: skip
"""The formats of GGUF whose weights are read."""

_ELSEWHERE = (
    ((".wscales", ".smooth_factor", ".proj_down"), "SVDQuant (nunchaku)", "its own GPU kernels"),
    ((".qzeros", ".wzeros"), "AWQ or GPTQ", "its own GPU kernels"),
    (
        (".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"),
        "bitsandbytes' four bits",
        "that library",
    ),
    ((".SCB",), "bitsandbytes' eight bits", "that library"),
    ((".weight_scale_2", ".pre_quant_scale"), "NVFP4 or another four-bit format of NVIDIA", "newest GPUs"),
    ((".weight_scale_inv",), "fp8 with a scale for each block", "its own kernels"),
    ((".weight_packed",), "compressed-tensors", "that library"),
    ((".weight._data", ".weight._scale"), "quanto", "that library"),
    ((".svd_up", ".zero_point"), "SDNQ", "that library"),
    ((".qweight",), "packed integers", "its own GPU kernels"),
)
"""Endings that only such files have, what they are, and what they need."""

WAY_OUT = "fetch it in bf16, in fp8 (plain or scaled) or as a GGUF from Q2_K to Q8_0"
_MAX_NOTE_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """How the weights of a file are stored."""

    name: str
    """In a person's words, such as "bf16", "fp8 scaled" or "GGUF Q4_K, Q6_K, F32"."""
    is_quantized: bool = False
    """Whether most of the weights have at most eight bits."""
    refusal: str = ""
    """What they are, if they cannot be read, and the way out."""
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The notes on layers, by the layer's name."""


def find_quantization(header: FileHeader) -> Quantization:
    """Return how the weights of a file are quantised.

    Raises:
        WeightsError: a note on it cannot be read.
    """
    numbers: Counter[str] = Counter()
    for tensor in header.tensors.values():
        numbers[tensor.dtype] += tensor.num_numbers
    most = numbers.most_common(1)[0][0] if numbers else "F32"
    if header.container == "gguf":
        return _find_gguf(numbers, most)
    told = read_notes(header)
    scaled = any(name.endswith(SCALES) for name in header.tensors)
    name = _SEEN.get(most, most)
    return Quantization(
        name=f"{name} scaled" if scaled and name in ("fp8", "int8") else name,
        is_quantized=name in ("fp8", "int8"),
        refusal=_find_elsewhere(header)
        or _find_in_notes(told)
        or _find_packed(header)
        or _find_lost(header, scaled=scaled),
        told=told,
    )


def is_about_weights(name: str) -> bool:
    """Return whether a tensor tells of the numbers of another one, and is no weight."""
    return name.endswith((*SCALES, *_INPUT_SCALES, NOTE, *_MARKS))


def _find_gguf(numbers: Counter[str], most: str) -> Quantization:
    unknown = sorted(numbers.keys() - GGUF_FORMATS)
    name = "GGUF " + ", ".join(dtype for dtype, _ in numbers.most_common(4))
    refusal = f"weights in GGUF's {unknown[0]}, which are not read; {WAY_OUT}" if unknown else ""
    return Quantization(name=name, is_quantized=most not in ("F32", "F16", "BF16"), refusal=refusal)


def _find_elsewhere(header: FileHeader) -> str:
    for endings, what, needs in _ELSEWHERE:
        if any(name.endswith(endings) for name in header.tensors):
            return f"weights in {what}, which need {needs}; {WAY_OUT}"
    return ""


def _find_in_notes(told: Mapping[str, Mapping[str, Any]]) -> str:
    for note in told.values():
        if note.get("convrot"):
            return f"weights that are rotated (convrot), and whose inputs would have to be; {WAY_OUT}"
        if not isinstance(form := note.get("format"), str) or form not in _RUN:
            return f"weights in {str(form)[:40]!r}, which are not read; {WAY_OUT}"
    return ""


def _find_packed(header: FileHeader) -> str:
    """Return what is wrong with weights in a format that no note and no name explains."""
    for name, tensor in header.tensors.items():
        if is_about_weights(name):
            if tensor.dtype == "F8_E8M0":
                return f"weights in MXFP8, which are not read; {WAY_OUT}"
        elif name.endswith(".weight") and len(tensor.shape) >= 2 and tensor.dtype not in _SEEN:
            return f"weights packed as {tensor.dtype}, in a way that nothing in it tells; {WAY_OUT}"
    return ""


def _find_lost(header: FileHeader, *, scaled: bool) -> str:
    """Return what is wrong with a file that is marked as scaled and has lost its scales: it would paint white."""
    marked = any(name.endswith(_MARKS) for name in header.tensors)
    return f"weights in scaled fp8 without a single scale; {WAY_OUT}" if marked and not scaled else ""


def read_notes(header: FileHeader) -> dict[str, Mapping[str, Any]]:
    """Return what a safetensors file says of its layers' formats, by the layer's name."""
    told: dict[str, Mapping[str, Any]] = {}
    if text := header.metadata.get(NOTES):
        layers = _parse(header, text).get("layers")
        if not isinstance(layers, dict) or not all(isinstance(note, dict) for note in layers.values()):
            raise WeightsError(
                f"{header.path} has a {NOTES} without layers; expected a format for each layer"
            )
        told |= layers
    names = [name for name in header.tensors if name.endswith(NOTE)]
    if names:
        with header.path.open("rb") as file:
            for name in names:
                tensor = header.tensors[name]
                if tensor.dtype != "U8" or tensor.num_bytes > _MAX_NOTE_BYTES:
                    raise WeightsError(
                        f"{header.path}: {name[:100]!r} is no note; expected JSON in a few bytes"
                    )
                file.seek(header.data_begin + tensor.begin)
                told[name.removesuffix(NOTE)] = _parse(header, file.read(tensor.num_bytes))
    return told


def _parse(header: FileHeader, text: str | bytes) -> dict[str, Any]:
    try:
        note = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{header.path} has a note on its formats that is no JSON; fetch the file again"
        ) from error
    if not isinstance(note, dict):
        raise WeightsError(
            f"{header.path} has a note on its formats that is no JSON object; fetch the file again"
        )
    return note

"""The number formats of stored weights, as data.

| format | a weight is |
|---|---|
| plain | a float tensor |
| fp8 | float8 (e4m3fn or e5m2), times a scale for all or for each row if there is one |
| int8 | int8, times a scale for all or for each row |
| nf4 | one of 16 levels (Dettmers et al. 2023, arXiv:2305.14314), two to a byte, times a scale for each 64 |
| gguf-Q8_0 ... | blocks of bytes as llama.cpp lays them out, see `gguf_blocks` |
"""

from __future__ import annotations

NF4_BLOCK = 64
"""Numbers that share a scale."""

GGUF_BLOCKS: dict[str, tuple[int, int]] = {
    "gguf-BF16": (1, 2),
    "gguf-Q8_0": (32, 34),
    "gguf-Q4_0": (32, 18),
    "gguf-Q4_1": (32, 20),
    "gguf-Q5_0": (32, 22),
    "gguf-Q5_1": (32, 24),
    "gguf-IQ4_NL": (32, 18),
    "gguf-IQ4_XS": (256, 136),
    "gguf-Q2_K": (256, 84),
    "gguf-Q3_K": (256, 110),
    "gguf-Q4_K": (256, 144),
    "gguf-Q5_K": (256, 176),
    "gguf-Q6_K": (256, 210),
}
"""By format, how many numbers a block holds and in how many bytes; F32 and F16 tensors are plain."""

ROUNDED_FORMATS = ("fp8", "int8", "nf4")
"""Those that weights can be rounded to on the fly, see `rounding`."""

FORMATS = ("plain", "fp8", "int8", "nf4", *GGUF_BLOCKS)
"""What `StoredWeight.format` may be."""

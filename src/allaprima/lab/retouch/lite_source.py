"""The encoder's weights, from the package that EfficientNet-Lite0 comes in."""

from __future__ import annotations

from torch import Tensor, nn

from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.paint.retouch.lite_encoder import InvertedBottleneck, LiteEncoder

PIXEL_SCALE = 127.5 / 128
"""The network was trained on (x - 127) / 128 for x in 0..255; the encoder's pictures are in [-1, 1]."""


def load_lite_encoder(sizes: int) -> LiteEncoder:
    """Return the first blocks of EfficientNet-Lite0, frozen, for maps of so many sizes.

    Raises:
        AssetError: the package is not installed.
    """
    network = ImageFeatures.load().network
    encoder = LiteEncoder(sizes)
    _fold(network._conv_stem, network._bn0, encoder.stem)
    encoder.stem.bias.data += encoder.stem.weight.data.sum((1, 2, 3)) * 0.5 / 128  # type: ignore[union-attr]
    encoder.stem.weight.data *= PIXEL_SCALE
    for source, block in zip(network._blocks, encoder.blocks, strict=False):  # type: ignore[arg-type]
        assert isinstance(block, InvertedBottleneck)
        if block.expand is not None:
            _fold(source._expand_conv, source._bn0, block.expand)
        _fold(source._depthwise_conv, source._bn1, block.depthwise)
        _fold(source._project_conv, source._bn2, block.project)
    return encoder.eval().requires_grad_(False)


def _fold(convolution: Tensor | nn.Module, norm: Tensor | nn.Module, into: nn.Conv2d) -> None:
    """Set `into` to a convolution without bias and the batch normalisation after it."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert into.bias is not None
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    into.weight.data.copy_(convolution.weight * factor[:, None, None, None])
    into.bias.data.copy_(norm.bias - norm.running_mean * factor)

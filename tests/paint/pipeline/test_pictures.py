from __future__ import annotations

import pytest
import torch

from allaprima.core.errors import PaintError
from allaprima.core.request import GenerationRequest
from allaprima.paint.pipeline.pictures import require_finite, to_pictures

REQUEST = GenerationRequest(prompt="a cat")


def test_pixels_are_rounded_clipped_and_in_order() -> None:
    pixels = torch.zeros(2, 3, 2, 4)
    pixels[0, 0] = 1.5
    pixels[0, 2, 1, 3] = 127.6 / 255
    pixels[1] = -0.2
    first, second = to_pictures(pixels, [REQUEST, REQUEST])
    assert (first.width, first.height) == (4, 2)
    assert first.rgb == b"\xff\0\0" * 7 + b"\xff\0\x80"
    assert second.rgb == bytes(24)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_never_becomes_a_picture(value: float) -> None:
    pixels = torch.zeros(1, 3, 2, 2)
    pixels[0, 1, 1, 1] = value
    with pytest.raises(PaintError, match=r"pixels of the picture stopped being finite numbers \(8\.3%"):
        to_pictures(pixels, [REQUEST])


def test_finite_values_pass() -> None:
    require_finite(torch.tensor([0.0, -1e30]), "latents")

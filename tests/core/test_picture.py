from __future__ import annotations

import pytest

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest


def test_a_picture_holds_its_bytes_and_compares_by_them() -> None:
    request = GenerationRequest(prompt="a cat")
    black = Picture(request=request, width=2, height=1, rgb=bytes(6))
    assert black == Picture(request=request, width=2, height=1, rgb=bytes(6))
    assert black != Picture(request=request, width=2, height=1, rgb=bytes(5) + b"\1")
    assert len(repr(Picture(request=request, width=256, height=256, rgb=bytes(3 * 256 * 256)))) < 400


def test_bytes_that_do_not_fill_it_are_refused() -> None:
    with pytest.raises(ValueError, match="got 5 bytes for a 2x1 picture; expected 6"):
        Picture(request=GenerationRequest(prompt="a cat"), width=2, height=1, rgb=bytes(5))

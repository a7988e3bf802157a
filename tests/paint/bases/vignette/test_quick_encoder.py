"""The quick encoder: the same latents as the plain one, and left alone where they would not be."""

from __future__ import annotations

import pytest
import torch
from tests.tiny_vignette import scattered_autoencoder
from torch import Tensor

from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.quick_encoder import QuickEncoder, packed_encoder_bytes
from allaprima.paint.bases.vignette.winograd import CHANNELS

# Each way a shortcut fits its layer: channels repeated, repeated and cut, averaged; and wide blocks.
WIDTHS = ((8, 16, 16), (8, 12, 32), (4, 8, 2), (8, 16, CHANNELS))


def scattered(widths: tuple[int, int, int]) -> Autoencoder:
    return scattered_autoencoder(encoder_widths=widths, encoder_depths=(1, 2, 1))


def pixels(batch: int = 1, height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_the_quick_way_is_the_plain_way(
    widths: tuple[int, int, int], dtype: torch.dtype, tolerance: float
) -> None:
    exact = scattered(widths)
    model = scattered(widths).to(dtype)
    encoder = QuickEncoder(model)
    for picture in (pixels(), pixels(3), pixels(1, 128, 64)):  # laid out for the first, good for all
        before = picture.clone()
        with torch.inference_mode():
            quick, plain = encoder.encode(picture.to(dtype)), exact.encode(picture)
        assert encoder._stages
        assert quick.dtype == dtype
        assert torch.allclose(quick.float(), plain, atol=tolerance * float(plain.abs().max()))
        assert torch.equal(picture, before)


def test_bf16_is_as_near_as_the_plain_way_is() -> None:
    exact, model = scattered(WIDTHS[0]), scattered(WIDTHS[0]).bfloat16()
    with torch.inference_mode():
        right = exact.encode(pixels())
        quick = QuickEncoder(model).encode(pixels().bfloat16()).float() - right
        plain = model.encode(pixels().bfloat16()).float() - right
    assert quick.std() < 1.5 * plain.std()


def test_training_other_formats_and_odd_sides_go_the_plain_way() -> None:
    model = scattered(WIDTHS[0])
    encoder = QuickEncoder(model)
    plain = model.encode(pixels().contiguous(memory_format=torch.channels_last))
    assert torch.equal(encoder.encode(pixels()), plain)
    with torch.inference_mode():
        odd = pixels(1, 48, 80)
        assert torch.equal(
            encoder.encode(odd), model.encode(odd.contiguous(memory_format=torch.channels_last))
        )
        model.double()
        assert encoder.encode(pixels().double()).dtype == torch.float64
    assert not encoder._stages


def test_moved_weights_go_the_plain_way() -> None:
    model = scattered(WIDTHS[0])
    encoder = QuickEncoder(model)
    with torch.inference_mode():
        before = encoder.encode(pixels())
    with torch.no_grad():
        next(model.encoder.parameters()).mul_(2.0)
    with torch.inference_mode():
        after = encoder.encode(pixels())
        assert torch.equal(after, model.encode(pixels().contiguous(memory_format=torch.channels_last)))
    assert not torch.allclose(before, after)


def test_what_is_laid_out_is_told() -> None:
    for widths in WIDTHS:
        model = scattered(widths)
        encoder = QuickEncoder(model)
        with torch.inference_mode():
            encoder.encode(pixels())
        kept = sum(_bytes_in(stage) for stage in encoder._stages)
        assert 0.7 * kept < packed_encoder_bytes(model) < 1.3 * kept


def _bytes_in(part: object) -> int:
    if isinstance(part, Tensor):
        return part.nbytes if not part.is_mkldnn else part.to_dense().nbytes
    inside = vars(part) if hasattr(part, "__dict__") else {}
    return sum(_bytes_in(value) for value in inside.values())

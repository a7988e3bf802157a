"""The quick decoder: the same picture as the plain one, and left alone where it would not be."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from tests.tiny_vignette import scattered_autoencoder
from torch import Tensor

from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.quick_decoder import QuickDecoder, prepacked_bytes
from allaprima.paint.bases.vignette.winograd import CHANNELS

# Each way a shortcut fits its layer: channels repeated, repeated and cut, averaged; and wide blocks.
WIDTHS = ((8, 16, 16), (8, 12, 32), (4, 8, 2), (8, 16, CHANNELS))


def scattered(widths: tuple[int, int, int], detail_width: int = 0) -> Autoencoder:
    return scattered_autoencoder(decoder_widths=widths, decoder_depths=(1, 2, 1), detail_width=detail_width)


def latents(batch: int = 1, height: int = 4, width: int = 6) -> Tensor:
    return torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(1))


def is_quick(decoder: QuickDecoder) -> bool:
    return decoder._ways is not None


@pytest.mark.parametrize("detail_width", [0, 2, 8])
@pytest.mark.parametrize("widths", WIDTHS)
def test_the_quick_way_is_the_plain_way(widths: tuple[int, int, int], detail_width: int) -> None:
    model = scattered(widths, detail_width)
    decoder = QuickDecoder(model)
    for z in (latents(), latents(3), latents(1, 8, 8)):  # laid out for the first, good for all
        before = z.clone()
        with torch.inference_mode():
            pairs = (
                (decoder.decode(z), model.decode(z)),
                (decoder.decode_coarse(z), model.decode_coarse(z)),
            )
        assert is_quick(decoder)
        for quick, plain in pairs:
            assert quick.shape == plain.shape
            assert torch.allclose(quick, plain, atol=1e-5 * float(plain.abs().max()))
        fine, coarse = (plain for _, plain in pairs)
        assert torch.equal(fine, coarse) == (not detail_width)
        assert torch.equal(z, before)


def test_training_and_other_formats_go_the_plain_way() -> None:
    model = scattered(WIDTHS[0])
    decoder = QuickDecoder(model)
    z = latents()
    laid_out = z.contiguous(memory_format=torch.channels_last)
    assert torch.equal(decoder.decode(z), model.decode(laid_out))
    assert torch.equal(decoder.decode_coarse(z), model.decode_coarse(laid_out))
    with torch.inference_mode():
        model.double()
        assert decoder.decode(z.double()).dtype == torch.float64
    assert not is_quick(decoder)


def test_what_is_laid_out_is_told() -> None:
    for widths, detail_width in itertools.product(WIDTHS, (0, 8)):
        model = scattered(widths, detail_width)
        decoder = QuickDecoder(model)
        with torch.inference_mode():
            decoder.decode(latents())
        kept = _bytes_in(decoder._ways)
        assert 0.7 * kept < prepacked_bytes(model) < 1.3 * kept


def _bytes_in(part: object) -> int:
    if isinstance(part, Tensor):
        return part.nbytes if not part.is_mkldnn else part.to_dense().nbytes
    inside = part if isinstance(part, list) else vars(part).values() if hasattr(part, "__dict__") else ()
    return sum(_bytes_in(value) for value in inside)


def test_odd_sides_go_the_plain_way() -> None:
    model = scattered(WIDTHS[-1])
    decoder = QuickDecoder(model)
    z = latents(1, 3, 4)
    with torch.inference_mode():
        assert torch.equal(decoder.decode(z), model.decode(z.contiguous(memory_format=torch.channels_last)))


def rewrite(model: Autoencoder) -> None:
    next(model.decoder.parameters()).data.mul_(2.0)
    next(model.decoder.parameters())[0, 0, 0, 0] = 1.0


def replace(model: Autoencoder) -> None:
    for parameter in model.decoder.parameters():
        parameter.data = parameter.data * 2.0


def listen(model: Autoencoder) -> None:
    model.decoder[1].register_forward_hook(lambda _layer, _inputs, output: output * 2.0)


def listen_to_all(model: Autoencoder) -> None:
    model.decoder.register_forward_hook(lambda _layers, _inputs, output: output * 2.0)


def rewrite_detail(model: Autoencoder) -> None:
    if model.detail is not None:
        model.detail.finish.weight.mul_(2.0)


@pytest.mark.parametrize("change", [rewrite, replace, listen, listen_to_all, rewrite_detail])
def test_other_weights_are_painted_with_at_once(change: Callable[[Autoencoder], None]) -> None:
    model = scattered(WIDTHS[0], detail_width=8 if change is rewrite_detail else 0)
    decoder = QuickDecoder(model)
    z = latents()
    with torch.inference_mode():
        first = decoder.decode(z)
    with torch.no_grad():
        change(model)
    with torch.inference_mode():
        second = decoder.decode(z)
        assert torch.equal(second, model.decode(z.contiguous(memory_format=torch.channels_last)))
    assert not torch.allclose(first, second)

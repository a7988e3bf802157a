from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allaprima.paint.bases.loading import load_base
from allaprima.paint.memory.tiling import decode_tiled, encode_tiled, spans

SEAM = 1 / 255


def gradient(height: int, width: int) -> torch.Tensor:
    down, across = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([across, down, (across + down) / 2])[None]


def seam(tiled: torch.Tensor, whole: torch.Tensor) -> float:
    """Return the largest step between neighbouring pixels that the whole picture does not have."""
    difference = tiled - whole
    return max(float(difference.diff(dim=side).abs().max()) for side in (2, 3))


@given(cells=st.integers(1, 300), tile=st.integers(4, 80), shared=st.integers(1, 40))
def test_tiles_cover_every_cell_with_weights_that_sum_to_one(cells: int, tile: int, shared: int) -> None:
    shared = min(shared, tile // 2)
    total = torch.zeros(cells * 2)
    found = spans(cells, tile, shared)
    for span in found:
        assert span.stop - span.start == min(found[0].stop, cells) <= max(tile, 1)
        total[span.start * 2 : span.stop * 2] += span.weights(2, torch.device("cpu"))
    torch.testing.assert_close(total, torch.ones(cells * 2))


def test_tiles_that_share_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="at most half"):
        spans(100, 8, 5)


@torch.inference_mode()
def test_the_shipped_autoencoder_shows_no_seam_on_a_gradient() -> None:
    base = load_base("vignette", device=torch.device("cpu"), dtype=torch.float32)
    networks = base.stages()["decode"]
    latents = base.encode(gradient(768, 1024))
    tiled = decode_tiled(base.decode, latents, stride=16, networks=networks)
    assert seam(tiled, base.decode(latents)) < SEAM
    again = encode_tiled(base.encode, gradient(768, 1024), stride=16, networks=networks)
    assert seam(base.decode(again), base.decode(latents)) < SEAM


def test_a_batch_is_the_pictures_one_by_one() -> None:
    base = load_base("vignette", device=torch.device("cpu"), dtype=torch.float32)
    networks = base.stages()["decode"]
    with torch.inference_mode():
        latents = base.noise([0, 1], 640, 384)
        both = decode_tiled(base.decode, latents, stride=16, networks=networks, tile=256, overlap=64)
        second = decode_tiled(base.decode, latents[1:], stride=16, networks=networks, tile=256, overlap=64)
    assert both.shape == (2, 3, 384, 640)
    assert torch.equal(both[1:], second)

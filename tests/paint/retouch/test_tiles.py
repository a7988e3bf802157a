from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.tiny_upscaler import tiny_upscaler
from torch import Tensor

from allaprima.paint.retouch.tiles import TileSize, enlarge_in_tiles, spans
from allaprima.paint.retouch.work import finish

CPU = torch.device("cpu")


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("length", [1, 40, 63, 64, 65, 100, 157, 1000])
@pytest.mark.parametrize("fade", [0, 8])
def test_weights_sum_to_one_and_keep_off_inner_edges(length: int, fade: int) -> None:
    size = TileSize(side=64, reach=6, fade=fade)
    total = torch.zeros(2 * length)
    for span in spans(length, size):
        weights = span.weights(2)
        total[2 * span.start : 2 * span.stop] += weights
        if span.start:
            assert not weights[: 2 * size.reach].any()
        if span.stop < length:
            assert not weights[-2 * size.reach :].any()
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(50, 50), (150, 97), (33, 200)])
def test_tiles_equal_the_whole(height: int, width: int) -> None:
    network = tiny_upscaler()
    pixels = noise(height, width)
    size = TileSize(side=48, reach=network.config.reach)
    assert len(spans(max(height, width), size)) > 1
    tiled = finish(enlarge_in_tiles(pixels, network, 2, size, CPU))
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    whole = network(given)[0].clamp(0, 1).mul(255).round().permute(1, 2, 0).to(torch.uint8).numpy()
    # The same sums in another order: a value half-way between two bytes may fall to either.
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 1e-3


def test_a_reach_that_is_too_short_shows() -> None:
    network = tiny_upscaler()
    pixels = noise(96, 96)
    exact = finish(enlarge_in_tiles(pixels, network, 2, TileSize(side=96, reach=6), CPU))
    short = finish(enlarge_in_tiles(pixels, network, 2, TileSize(side=49, reach=1), CPU))
    assert np.abs(short.astype(int) - exact).max() > 8


def test_tiles_that_differ_fade_into_each_other() -> None:
    numbers = iter(range(100))

    def network(given: Tensor) -> Tensor:
        shade = torch.full_like(given, 0.2 + 0.2 * (next(numbers) % 2))
        return shade.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    size = TileSize(side=64, reach=4, fade=20)
    whole = finish(enlarge_in_tiles(noise(60, 100), network, 2, size, CPU)).astype(int)
    assert whole.max() - whole.min() == 51
    assert np.abs(np.diff(whole, axis=1)).max() <= 2


def test_shares_rise_to_one_and_tiles_can_be_left() -> None:
    network = tiny_upscaler()
    work = enlarge_in_tiles(noise(100, 100), network, 2, TileSize(side=48, reach=6), CPU)
    first = next(work)
    work.close()
    shares: list[float] = []
    finish(enlarge_in_tiles(noise(100, 100), network, 2, TileSize(side=48, reach=6), CPU), shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (first, 1.0)


def test_tiles_must_be_larger_than_what_they_share() -> None:
    with pytest.raises(ValueError, match="more than twice"):
        TileSize(side=48, reach=12)

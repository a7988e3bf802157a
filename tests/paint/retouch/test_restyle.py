from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_retouch import tiny_restyler

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.retouch import STYLE_NAMES, Restyle
from allaprima.paint.retouch.restyle import find_style, paint_in_style, restyle, style_of
from allaprima.paint.retouch.restyler import Restyler
from allaprima.paint.retouch.style_decoder import adapt, blend
from allaprima.paint.retouch.style_encoder import WIDTHS, statistics_of
from allaprima.paint.retouch.work import Workshop, finish


@pytest.fixture
def workshop() -> Workshop:
    shop = Workshop(device=torch.device("cpu"))
    restyler = tiny_restyler()
    assert shop.keep("restyler", lambda: restyler) is restyler
    return shop


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_adapted_maps_have_the_statistics_of_the_style() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 9, 7, generator=generator) * 3 + 1
    style = statistics_of(torch.randn(2, 5, 4, 4, generator=generator) * 2 - 4)
    found = statistics_of(adapt(features, style))
    assert torch.allclose(found.mean, style.mean, atol=1e-4)
    assert torch.allclose(found.deviation, style.deviation, rtol=1e-3)


def test_a_flat_map_is_not_raised_to_noise() -> None:
    flat = 1 + 1e-4 * torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    style = statistics_of(torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 50)
    assert adapt(flat, style).std() < 0.01


def test_blended_styles_lie_between() -> None:
    one, other = ([statistics_of(torch.full((1, 2, 3, 3), value))] for value in (0.0, 4.0))
    assert blend(one, other, 0.25)[0].mean.flatten().tolist() == [1.0, 1.0]
    assert blend(one, other, 0.0)[0].mean.flatten().tolist() == [0.0, 0.0]


def test_a_named_style_follows_the_picture_by_its_rules() -> None:
    restyler = Restyler()
    own = restyler.style_of(torch.rand(1, 3, 16, 16))
    assert all(
        torch.equal(a.mean, b.mean) for a, b in zip(restyler.named_style("line", own), own, strict=True)
    )
    number = STYLE_NAMES.index("line")
    restyler.slopes[number, 0] = 2.0
    restyler.offsets[number, 0, 0] = 7.0
    named = restyler.named_style("line", own)
    assert len(named) == len(WIDTHS)
    assert torch.allclose(named[0].mean[0, 0], 2 * own[0].mean[0, 0] + 7)
    assert torch.allclose(named[3].mean, 2 * own[3].mean)
    assert torch.equal(named[3].deviation, own[3].deviation)


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (9, 8), (1, 1)])
def test_pictures_of_any_size_keep_it(workshop: Workshop, size: tuple[int, int]) -> None:
    assert finish(restyle(noise(*size), Restyle(style="flat"), workshop)).size == size


def test_large_pictures_are_restyled_small_and_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.paint.retouch.restyle.MOST_SIDE", 32)
    restyler = tiny_restyler()
    small = paint_in_style(noise(64, 48).resize((32, 24), Image.Resampling.LANCZOS), "noto", restyler)
    large = paint_in_style(noise(64, 48), "noto", restyler)
    assert np.array_equal(np.asarray(large), np.asarray(small.resize((64, 48), Image.Resampling.LANCZOS)))


def test_what_is_transparent_stays_so(workshop: Workshop) -> None:
    picture = noise(16, 16)
    alpha = noise(16, 16, seed=1).getchannel("R")
    picture.putalpha(alpha)
    assert (
        finish(restyle(picture, Restyle(style="flat"), workshop)).getchannel("A").tobytes() == alpha.tobytes()
    )


def test_strength_goes_from_the_pictures_style_to_the_other() -> None:
    restyler = tiny_restyler()
    picture, other = noise(32, 32), Image.new("RGB", (32, 32), "teal")
    style = style_of(other, restyler)
    ends = [np.asarray(paint_in_style(picture, style, restyler, s)).astype(int) for s in (0.0, 0.5, 1.0)]
    own = np.asarray(paint_in_style(picture, style_of(picture, restyler), restyler)).astype(int)
    assert np.abs(ends[0] - own).max() <= 1
    assert np.abs(ends[1] - ends[0]).mean() < np.abs(ends[2] - ends[0]).mean()


def test_a_style_picture_is_looked_at_once_and_again_when_it_changed(
    workshop: Workshop, tmp_path: Path
) -> None:
    restyler, path = tiny_restyler(), tmp_path / "style.png"
    noise(40, 30).save(path)
    first = find_style(str(path), restyler, workshop)
    assert find_style(str(path), restyler, workshop) is first
    Image.new("RGB", (40, 30), "red").save(path)
    assert find_style(str(path), restyler, workshop) is not first


def test_what_is_no_style_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    restyler = tiny_restyler()
    with pytest.raises(RequestError, match="expected fluent, flat, line, noto, or a picture file"):
        find_style("baroque", restyler, workshop)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(PictureError, match="header is damaged"):
        find_style(str(tmp_path / "broken.png"), restyler, workshop)
    with pytest.raises(PictureError, match="is a folder"):
        find_style(str(tmp_path), restyler, workshop)
    with pytest.raises(PictureError, match="at least 8"):
        style_of(Image.new("RGB", (4, 40)), restyler)

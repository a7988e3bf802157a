from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_retouch import tiny_matte_network, tiny_restyler

from allaprima.core.retouch import CutOut
from allaprima.lab.evaluation import mattes
from allaprima.lab.evaluation.mattes import measure_mattes, measure_retouching_times, overlap, seconds_of
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.work import Workshop


@pytest.fixture
def retoucher() -> Retoucher:
    shop = Workshop(device=torch.device("cpu"))
    shop.keep("matte", lambda: tiny_matte_network(bias=50))
    shop.keep("restyler", tiny_restyler)
    return Retoucher(shop)


def draw_cat(seed: int, *, split: str) -> Scene:
    assert split == "any"
    return Scene(seed=seed, subjects=(Subject(kind="cat"),), place="beach", hour="day", weather="clear")


def test_overlap_is_the_share_of_the_union() -> None:
    one, other = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    assert overlap(one, other) == 1.0
    one[:2], other[1:3] = 1, 1
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one, np.zeros_like(one)) == 0.0


def test_a_finder_that_takes_all_is_measured_as_such(
    retoucher: Retoucher, sprites: SpriteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mattes, "draw_framed", draw_cat)
    seen: list[int] = []
    rows = measure_mattes(retoucher, sprites, 2, lambda _what, done, _total: seen.append(done))
    truth = [one[..., 3] / 255 for one in mattes.unseen_mattes(2, sprites)]
    assert seen == [1, 2]
    assert rows[0].value == pytest.approx(np.mean([(one > 0.5).mean() for one in truth]), abs=1e-5)
    assert rows[1].value == pytest.approx(1 - np.mean(truth), abs=1e-4)
    assert [row.state for row in rows] == ["short", "short"]
    assert [(row.must, row.aim, row.better) for row in rows] == [(0.95, 0.98, "more"), (0.02, 0.01, "less")]


def test_times_are_told(retoucher: Retoucher, sprites: SpriteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mattes, "draw_framed", draw_cat)
    rows = measure_retouching_times(retoucher, sprites, runs=1)
    assert [row.name for row in rows] == ["cut-out of a 256 picture", "restyle of a 256 picture"]
    assert all(row.value is not None and row.value > 0 for row in rows)
    assert seconds_of(retoucher, Image.new("RGB", (64, 64)), CutOut(), 1) > 0

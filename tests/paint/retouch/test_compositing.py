from __future__ import annotations

import numpy as np
import pytest
from tests.tiny_retouch import disc_before

from allaprima.paint.retouch.compositing import (
    compose,
    contact_shadow,
    fill_hole,
    relight,
    to_linear,
    to_srgb,
)
from allaprima.paint.retouch.picture_arrays import to_array


def even(color: tuple[float, float, float], side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), color, np.float32)


def test_light_goes_there_and_back() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    assert np.abs(to_srgb(to_linear(ramp)) - ramp).max() < 1e-5
    assert to_linear(np.array([0.5], np.float32))[0] == pytest.approx(0.2140, abs=1e-4)


def test_the_same_light_changes_nothing() -> None:
    image, matte = disc_before("#808080")
    front = even((0.5, 0.4, 0.3))
    assert np.abs(relight(front, matte, to_array(image), to_array(image)) - front).max() < 0.03


def test_a_subject_gets_the_light_of_its_new_place() -> None:
    image, matte = disc_before("#c0d8f0")
    front = even((0.5, 0.5, 0.5))
    night = relight(front, matte, even((0.05, 0.06, 0.2)), to_array(image))
    sunset = relight(front, matte, even((0.95, 0.55, 0.25)), to_array(image))
    assert night.mean() < front.mean() - 0.03
    assert sunset[..., 0].mean() > sunset[..., 2].mean() + 0.05


def test_shade_follows_more_than_highlights() -> None:
    image, matte = disc_before("#c0d8f0")
    dark, bright = (
        relight(even((v, v, v)), matte, even((0.1, 0.1, 0.1)), to_array(image)) for v in (0.2, 0.95)
    )
    assert (
        to_linear(dark).mean() / to_linear(even((0.2, 0.2, 0.2))).mean()
        < to_linear(bright).mean() / to_linear(even((0.95, 0.95, 0.95))).mean()
    )


def test_the_ground_is_dark_below_the_foot_alone() -> None:
    _, matte = disc_before("white")
    shadow = contact_shadow(matte)
    assert shadow[48:51, 28:36].max() > 0.2
    assert shadow[:38].max() == 0
    cut_off = np.zeros((64, 64), np.float32)
    cut_off[30:] = 1
    assert contact_shadow(cut_off).max() == 0
    assert contact_shadow(np.zeros((64, 64), np.float32)).max() == 0


def test_what_is_composed_is_the_subject_inside_and_the_place_outside() -> None:
    _, matte = disc_before("white")
    front, behind = even((0.8, 0.1, 0.1)), even((0.1, 0.5, 0.1))
    composed = compose(front, matte, behind, old=None)
    assert np.abs(composed - front)[matte == 1].max() < 1e-6
    assert np.abs(composed - behind)[:12].max() < 1e-6


def test_a_hole_is_filled_with_what_is_beside_it() -> None:
    ground = np.linspace(0.2, 0.8, 64, dtype=np.float32)[:, None, None].repeat(64, 1).repeat(3, 2)
    _, matte = disc_before("white")
    matte[(np.abs(np.arange(64) - 32) > 10)[:, None].repeat(64, 1)] = 0
    spoiled = ground.copy()
    spoiled[matte > 0] = (1, 0, 1)
    assert np.abs(fill_hole(spoiled, matte) - ground).max() < 0.03

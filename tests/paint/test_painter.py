from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from tests.tiny import SteadyBase, colour_of
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import PaintError, RequestError
from allaprima.core.events import Event, Finished, Started, Step
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.pictures import to_pictures

CAT = GenerationRequest(prompt="cat", negative_prompt="rain", steps=3, guidance=2.0, seed=7)


def test_the_picture_is_the_one_arithmetic_says() -> None:
    base = SteadyBase()
    assert isinstance(base, Base)
    colour = colour_of("rain") + 2.0 * (colour_of("cat") - colour_of("rain"))
    latents = base.noise([7], 256, 256) + colour[None, :, None, None]
    expected = to_pictures(base.decode(latents), [CAT])[0]
    painted = Painter(base=base).paint(CAT)
    assert painted.request == CAT
    # The sum of three rounded steps may fall on the other side of a rounding to 8 bits.
    assert max(abs(a - b) for a, b in zip(painted.rgb, expected.rgb, strict=True)) <= 1


def test_guidance_of_one_skips_the_negative_prompt() -> None:
    base = SteadyBase()
    Painter(base=base).paint(replace(CAT, guidance=1.0))
    assert base.encoded == [["cat"]]
    assert base.passes == [1, 1, 1]


def test_leading_away_from_the_prompt_itself_is_no_work() -> None:
    base = SteadyBase()
    Painter(base=base).paint(replace(CAT, negative_prompt=CAT.prompt))
    assert base.encoded == [["cat"]]
    assert base.passes == [1, 1, 1]


def test_the_schedule_is_the_one_asked_for() -> None:
    base = SteadyBase()
    assert Painter(base=base).paint(replace(CAT, schedule="even")).request.schedule == "even"
    with pytest.raises(RequestError, match="got the schedule 'odd'; expected even"):
        Painter(base=base).events(replace(CAT, schedule="odd"))


def test_seeds_of_one_request_encode_their_text_once() -> None:
    base = SteadyBase()
    pictures = Painter(base=base).paint_batch([replace(CAT, seed=seed) for seed in range(3)])
    assert [picture.request.seed for picture in pictures] == [0, 1, 2]
    assert base.encoded == [["cat", "rain"]]
    assert base.passes == [2] * 9


def test_seeds_share_a_pass_where_that_is_asked_for() -> None:
    base = SteadyBase()
    requests = [replace(CAT, seed=seed) for seed in range(5)]
    together = Painter(base=base, pictures_per_pass=2).paint_batch(requests)
    assert base.passes == [4] * 6 + [2] * 3
    assert together == Painter(base=SteadyBase()).paint_batch(requests)


def test_different_requests_keep_their_order() -> None:
    requests = [CAT, replace(CAT, prompt="dog", steps=1), replace(CAT, width=128, height=64), CAT]
    pictures = Painter(base=SteadyBase(), pictures_per_pass=4).paint_batch(requests)
    assert [picture.request for picture in pictures] == requests
    assert (pictures[2].width, pictures[2].height) == (128, 64)
    assert pictures[0] == pictures[3]
    assert Painter(base=SteadyBase()).paint_batch([]) == []


def test_events_tell_the_whole_story() -> None:
    requests = (CAT, replace(CAT, seed=8))
    events = list(Painter(base=SteadyBase()).events(*requests))
    kinds = [type(event) for event in events]
    assert kinds == [Started, Step, Step, Step, Finished] * 2
    assert events[0] == Started(requests=(CAT,))
    assert events[1] == Step(index=1, total=3)
    finished = events[4]
    assert isinstance(finished, Finished)
    assert set(finished.timings_ms) == {"text", "denoise", "decode"}
    assert all(ms >= 0 for ms in finished.timings_ms.values())


def test_the_last_preview_is_the_picture() -> None:
    events = list(Painter(base=SteadyBase()).events(CAT, previews=True))
    previews: list[Picture] = [event.previews[0] for event in events if isinstance(event, Step)]
    assert len(previews) == 3
    assert previews[-1].rgb == cast("Finished", events[-1]).pictures[0].rgb


def test_medium_quality_is_decoded_coarsely(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path, detail_width=8))
    painter = Painter(base=base)
    pictures = [
        painter.paint(GenerationRequest(prompt="cat", steps=1, guidance=1.0, quality=quality))
        for quality in ("high", "medium")
    ]
    latents = base.noise([0], 256, 256)
    text = base.encode_text(["cat"])
    clean = latents - base.predict(latents, torch.ones(1), text)
    for picture, pixels in zip(pictures, (base.decode(clean), base.decode_coarse(clean)), strict=True):
        shown = pixels[0].permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy().tobytes()
        assert max(abs(a - b) for a, b in zip(picture.rgb, shown, strict=True)) <= 1
    assert pictures[0].rgb != pictures[1].rgb


def test_closing_the_iterator_cancels() -> None:
    base = SteadyBase()
    events = cast("Generator[Event]", Painter(base=base).events(replace(CAT, steps=1000)))
    for event in events:
        if isinstance(event, Step) and event.index == 2:
            break
    events.close()
    assert len(base.passes) == 2
    assert list(events) == []


def test_between_events_the_caller_may_train() -> None:
    events = Painter(base=SteadyBase()).events(CAT)
    next(events)
    next(events)
    assert not torch.is_inference_mode_enabled()
    assert torch.zeros(1, requires_grad=True).exp().requires_grad


def test_sizes_and_bases_that_are_not_there_are_told_before_the_first_pass() -> None:
    base = SteadyBase()
    painter = Painter(base=base)
    with pytest.raises(RequestError, match="got size 512x512; expected 256x256 or 128x64"):
        painter.events(CAT, replace(CAT, width=512, height=512))
    with pytest.raises(RequestError, match="got a request for base 'sdxl'; expected vignette"):
        painter.paint(replace(CAT, base="sdxl"))
    with pytest.raises(RequestError, match="got base 'sdxl'; expected vignette"):
        Painter.load("sdxl")
    assert base.encoded == []


@pytest.mark.parametrize("previews", [False, True])
def test_numbers_that_overflow_are_an_error_and_no_black_picture(previews: bool) -> None:
    with pytest.raises(PaintError, match=r"latents of the picture stopped being finite"):
        list(Painter(base=SteadyBase(broken_after=1)).events(CAT, previews=previews))


def test_a_painter_refuses_what_it_cannot_drive() -> None:
    with pytest.raises(PaintError, match="predicts epsilon, which a schedule of kind flow cannot follow"):
        Painter(base=SteadyBase(prediction="epsilon")).paint(CAT)
    with pytest.raises(ValueError, match="expected a whole number of at least 1"):
        Painter(base=SteadyBase(), pictures_per_pass=0)


def test_pictures_carry_what_their_request_asks_for_in_vain() -> None:
    painter = Painter(base=SteadyBase())
    said = ("the negative prompt does nothing, for there is no guidance",)
    vain = replace(CAT, guidance=0.0)
    started, *_, finished = painter.events(CAT, vain)
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.remarks, finished.pictures[0].remarks) == ((), said)
    assert painter.remarks(vain) == said
    assert painter.paint(CAT).remarks == ()
    assert painter.paint(vain).rgb == painter.paint(replace(vain, guidance=1.0)).rgb

"""Painting over a picture or a part of one: what is kept is kept to the bit, whatever the rest goes through."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.tiny import SteadyBase

from allaprima.core.errors import RequestError
from allaprima.core.events import Finished, Step
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.schedule import flow_schedule, flow_sigmas
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.underpainting import Underpainting

SIZE: dict[str, Any] = {"width": 128, "height": 64}
SCHEDULE = flow_schedule(flow_sigmas(4))
NOISE = torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))


def picture(strength: float = 1.0, *, masked: bool = True, value: int = 255) -> InitImage:
    """Return noisy pixels, of which the columns 41 to 86, in the middle of cells of 8, are painted."""
    rgb = torch.randint(0, 256, (64, 128, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mask = torch.zeros(64, 128, dtype=torch.uint8)
    mask[:, 41:87] = value
    levels = mask.numpy().tobytes() if masked else None
    return InitImage(**SIZE, rgb=rgb.numpy().tobytes(), mask=levels, strength=strength)


def under(init_image: InitImage | None) -> Underpainting:
    return Underpainting(SteadyBase(), init_image, NOISE, SCHEDULE, **SIZE)


def paint(init_image: InitImage, **fields: Any) -> tuple[Picture, list[Step]]:
    request = GenerationRequest(prompt="cat", **SIZE, **{"steps": 4, "guidance": 2.0, "seed": 5, **fields})
    events = list(Painter(base=SteadyBase()).events(request, init_image=init_image, previews=True))
    assert isinstance(events[-1], Finished)
    return events[-1].pictures[0], [event for event in events if isinstance(event, Step)]


def kept(pixels: bytes, init_image: InitImage) -> bytes:
    assert init_image.mask is not None
    return b"".join(pixels[3 * i : 3 * i + 3] for i, level in enumerate(init_image.mask) if level == 0)


def test_nothing_to_paint_over_changes_nothing() -> None:
    nothing = under(None)
    assert nothing.schedule is SCHEDULE
    assert nothing.latents is NOISE
    assert nothing.channels is None
    assert nothing.settle(NOISE, 0.5) is NOISE
    assert nothing.paste(NOISE) is NOISE
    full = under(picture(masked=False))
    assert full.schedule is SCHEDULE
    assert full.latents is NOISE


def test_another_size_is_refused() -> None:
    with pytest.raises(RequestError, match="128x64 to paint over; expected 256x256"):
        Underpainting(SteadyBase(), picture(), NOISE, SCHEDULE, width=256, height=256)


def test_latents_outside_the_mask_are_the_pictures_at_every_level() -> None:
    over = under(picture())
    pixels = torch.frombuffer(bytearray(picture().rgb), dtype=torch.uint8).view(1, 64, 128, 3)
    clean = SteadyBase().encode(pixels.permute(0, 3, 1, 2).float() / 255)
    stepped = torch.full_like(NOISE, 9.0)
    for sigma in (0.75, 0.0):
        settled = over.settle(stepped, sigma)
        known = (1 - sigma) * clean + sigma * NOISE
        assert torch.equal(settled[..., :5], known[..., :5])
        assert torch.equal(settled[..., 6:10], stepped[..., 6:10])
        # A cell of which the mask covers seven columns of eight.
        torch.testing.assert_close(settled[..., 5], known[..., 5] / 8 + stepped[..., 5] * 7 / 8)
    assert torch.equal(over.settle(stepped, 0.0)[..., :5], clean.expand(2, -1, -1, -1)[..., :5])


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("value", [255, 128, 1])
def test_pixels_outside_the_mask_are_equal_bit_for_bit(strength: float, steps: int, value: int) -> None:
    init_image = picture(strength, value=value)
    painted, seen = paint(init_image, steps=steps)
    for each in (painted, *(preview for step in seen for preview in step.previews)):
        assert kept(each.rgb, init_image) == kept(init_image.rgb, init_image)
    assert painted.rgb != init_image.rgb or value == 1
    assert (painted.init_strength, painted.inpaint_area) == (strength, "Whole picture")


def test_levels_between_mix_old_and_new() -> None:
    full, half = paint(picture())[0], paint(picture(value=102))[0]
    middle = slice(3 * (128 * 30 + 64), 3 * (128 * 30 + 65))
    old = picture().rgb[middle]
    # The steps see four tenths of the new, and so do the pixels.
    assert full.rgb[middle] != old
    assert all(
        abs(h - o) <= abs(f - o) + 1 for h, f, o in zip(half.rgb[middle], full.rgb[middle], old, strict=True)
    )


def test_seeds_share_a_picture_and_a_pass() -> None:
    request = GenerationRequest(prompt="cat", **SIZE, steps=2, guidance=1.0, seed=1)
    requests = [request, GenerationRequest(**{**vars(request), "seed": 2})]
    init_image = picture()
    alone = [paint(init_image, steps=2, guidance=1.0, seed=seed)[0] for seed in (1, 2)]
    painter = Painter(base=SteadyBase(), pictures_per_pass=2)
    *_, last = painter.events(*requests, init_image=init_image)
    assert isinstance(last, Finished)
    assert [each.rgb for each in last.pictures] == [each.rgb for each in alone]
    assert alone[0].rgb != alone[1].rgb


def test_a_window_is_put_back_into_its_picture() -> None:
    from PIL import Image

    whole = Image.effect_noise((300, 200), 80).convert("RGB")
    mask = Image.new("L", whole.size, 0)
    mask.paste(255, (60, 60, 90, 70))
    window = InitImage.window(whole, mask, (40, 50, 104, 82), **SIZE, strength=1.0)
    painted, seen = paint(window)
    assert (painted.width, painted.height, painted.inpaint_area) == (300, 200, "Only masked")
    assert painted.request.width == 128
    assert seen[0].previews[0].width == 300
    before, after = whole.tobytes(), painted.rgb
    changed = {(i // 3 % 300, i // 900) for i in range(len(before)) if before[i] != after[i]}
    assert changed
    assert all(60 <= x < 90 and 60 <= y < 70 for x, y in changed)

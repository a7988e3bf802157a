from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import PaintError
from allaprima.core.init_image import InitImage
from allaprima.core.layout import Box, PaintedLayout, Thing
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.pipeline.prompt_cache import PromptCache, join_prompts


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder: Path = write_tiny_vignette(tmp_path_factory.mktemp("batch") / "weights")
    return Painter.load(folder=folder, device="cpu")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("reader") / "weights", reads_layout=True)
    return Painter.load(folder=folder, device="cpu", precision="fp32")


def rows_for(base: Base, requests: list[GenerationRequest]) -> list[DenoiseRow]:
    cache = PromptCache(base, 2**20)
    led = requests[0].guidance != 1.0
    return [
        DenoiseRow(
            prompt=cache.encode([request.prompt])[0].text,
            negative=cache.encode([request.negative_prompt])[0].text if led else None,
            seed=request.seed,
        )
        for request in requests
    ]


def batch_of(
    base: Base, requests: list[GenerationRequest], rows: list[DenoiseRow] | None = None
) -> DenoiseBatch:
    first = requests[0]
    return DenoiseBatch(
        OverflowGuard(base, strict=False),
        rows or rows_for(base, requests),
        width=first.width,
        height=first.height,
        schedule=base.schedule(first.steps, first.width, first.height),
        guidance=first.guidance,
    )


def run(batch: DenoiseBatch) -> DenoiseBatch:
    while batch.left:
        batch.step()
    return batch


def together(base: Base, requests: list[GenerationRequest]) -> tuple[Picture, ...]:
    return to_pictures(run(batch_of(base, requests)).decode(range(len(requests))), requests)


def furthest(one: Picture, other: Picture) -> int:
    return max(abs(a - b) for a, b in zip(one.rgb, other.rgb, strict=True))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_pictures_of_different_prompts_are_those_the_painter_paints(
    painter: Painter, guidance: float
) -> None:
    requests = [
        GenerationRequest(prompt=prompt, negative_prompt="rain", steps=2, guidance=guidance, seed=seed)
        for prompt, seed in (("a cat", 1), ("a large dog", 2), ("a cat", 3))
    ]
    for picture, request in zip(together(painter.base, requests), requests, strict=True):
        assert picture.request == request
        assert furthest(picture, painter.paint(request)) <= 1  # batches round differently


def test_one_row_is_the_painters_picture_bit_for_bit(painter: Painter) -> None:
    request = GenerationRequest(prompt="a cat", steps=3, guidance=1.0, seed=7)
    assert together(painter.base, [request])[0] == painter.paint(request)


def test_a_dropped_row_costs_nothing_and_changes_no_other() -> None:
    requests = [GenerationRequest(prompt=text, steps=4, guidance=2.0, seed=9) for text in ("ab", "b", "c")]
    base = SteadyBase()
    kept = together(base, requests)
    base.passes.clear()
    shared = batch_of(base, requests)
    while shared.left:
        index = shared.step().index
        if index == 1:
            shared.drop(1)
        if index == 3:
            shared.drop(0)
    assert base.passes == [6, 4, 4, 2]
    assert shared.predictions == 3 + 2 + 2 + 1
    assert shared.alive == (2,)
    assert to_pictures(shared.decode([2]), requests[2:]) == kept[2:]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_each_row_has_its_own_layout_and_guidance_keeps_to_it(reader: Painter, guidance: float) -> None:
    base = reader.base
    request = GenerationRequest(prompt="a cat", negative_prompt="rain", steps=2, guidance=guidance, seed=3)
    boxes = [Box(0.0, 0.0, 0.5, 0.5), Box(0.25, 0.5, 1.0, 1.0)]
    layouts = [PaintedLayout(things=(Thing(kind="cat", box=box),)) for box in boxes]
    drawn = base.draw_layouts(layouts, 256, 256)
    maps = [drawn[:1], drawn[1:], None]
    (row,) = rows_for(base, [request])
    rows = [replace(row, layout=layout) for layout in maps]
    shared = run(batch_of(base, [request] * 3, rows))
    alone = [run(batch_of(base, [request], [each])) for each in rows]
    torch.testing.assert_close(
        shared.latents, torch.cat([one.latents for one in alone]), rtol=1e-3, atol=1e-3
    )
    assert not torch.allclose(alone[0].latents, alone[1].latents, atol=0.05)
    assert not torch.allclose(alone[0].latents, alone[2].latents, atol=0.05)
    open_row = run(batch_of(base, [request], [row]))
    assert torch.equal(alone[2].latents, open_row.latents)
    if guidance == 1.0:
        return
    text = join_prompts([row.prompt, row.negative]) if row.negative else row.prompt
    told = replace(text, layout=maps[0].repeat(2, 1, 1, 1) if maps[0] is not None else None)
    latents, t = base.noise([3], 256, 256), torch.ones(2)
    with torch.inference_mode():
        cond, uncond = base.predict(latents.repeat(2, 1, 1, 1), t, told).float().chunk(2)
    first = alone[0].first(0)
    assert first is not None
    torch.testing.assert_close(first.prediction, (uncond + 3.0 * (cond - uncond))[0], rtol=0.05, atol=0.05)


def test_a_batch_without_rows_paints_nothing() -> None:
    base = SteadyBase()
    batch = batch_of(base, [GenerationRequest(prompt="a", steps=4, guidance=1.0)])
    batch.step()
    batch.drop(0)
    batch.drop(0)
    assert (batch.alive, batch.left) == ((), 3)
    with pytest.raises(RuntimeError, match="nothing left to paint"):
        batch.step()
    assert base.passes == [1]


def test_a_known_first_prediction_is_not_made_again(painter: Painter) -> None:
    base = painter.base
    request = GenerationRequest(prompt="a cat", steps=1, guidance=1.0, seed=7)
    first = run(batch_of(base, [request])).first(0)
    assert first is not None
    finer = GenerationRequest(prompt="a cat", steps=4, guidance=1.0, seed=7)
    assert first.fits(base.schedule(4, 256, 256), ())
    assert not first.fits(base.schedule(4, 256, 256), (LoraUse(name="ink"),))
    row = rows_for(base, [finer])[0]
    shared = run(batch_of(base, [finer], [DenoiseRow(prompt=row.prompt, seed=row.seed, first=first)]))
    assert shared.predictions == 3
    assert to_pictures(shared.decode([0]), [finer])[0] == painter.paint(finer)


def test_a_first_prediction_over_another_picture_is_made_again() -> None:
    base = SteadyBase()
    request = GenerationRequest(prompt="a cat", steps=1, guidance=1.0, seed=7)
    first = run(batch_of(base, [request])).first(0)
    assert first is not None
    over = InitImage(width=256, height=256, rgb=bytes(3 * 256 * 256), strength=1.0, mask=b"\x01" * 256 * 256)
    schedule = base.schedule(4, 256, 256)
    assert first.fits(schedule, ())
    assert not first.fits(schedule, (), over)
    assert replace(first, init_image=over).fits(schedule, (), replace(over))


def test_negative_prompts_come_exactly_where_they_matter() -> None:
    base = SteadyBase()
    request = GenerationRequest(prompt="a", guidance=1.0, steps=1)
    with pytest.raises(ValueError, match="expected all with one"):
        DenoiseBatch(
            OverflowGuard(base),
            rows_for(base, [request]),
            width=256,
            height=256,
            schedule=base.schedule(1, 256, 256),
            guidance=2.0,
        )


def test_overflow_is_the_rows_own() -> None:
    base = SteadyBase(broken_after=0)
    shared = run(batch_of(base, [GenerationRequest(prompt="a", guidance=1.0, steps=1)]))
    with pytest.raises(PaintError, match="latents"):
        shared.decode([0])


def test_nothing_is_decoded_before_a_step() -> None:
    with pytest.raises(RuntimeError, match="expected at least one step"):
        batch_of(SteadyBase(), [GenerationRequest(prompt="a", guidance=1.0, steps=1)]).decode([0])


def test_inference_mode_stays_inside() -> None:
    shared = batch_of(SteadyBase(), [GenerationRequest(prompt="a", guidance=1.0, steps=2)])
    shared.step()
    assert not torch.is_inference_mode_enabled()

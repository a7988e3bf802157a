from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import PaintError
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow, share_first_prediction
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.pipeline.prompt_cache import PromptCache


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder: Path = write_tiny_vignette(tmp_path_factory.mktemp("batch") / "weights")
    return Painter.load(folder=folder, device="cpu")


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


def pass_for(
    base: Base, requests: list[GenerationRequest], rows: list[DenoiseRow] | None = None
) -> DenoiseBatch:
    first = requests[0]
    return DenoiseBatch(
        base,
        rows or rows_for(base, requests),
        width=first.width,
        height=first.height,
        schedule=base.schedule(first.steps, first.width, first.height),
        guidance=first.guidance,
    )


def together(base: Base, requests: list[GenerationRequest]) -> tuple[Picture, ...]:
    shared = pass_for(base, requests)
    for _ in shared.steps():
        pass
    return to_pictures(shared.decode(range(len(requests))), requests)


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
    shared = pass_for(base, requests)
    for step in shared.steps():
        if step == 1:
            shared.drop(1)
        if step == 3:
            shared.drop(0)
    assert base.passes == [6, 4, 4, 2]
    assert shared.predictions == 3 + 2 + 2 + 1
    assert shared.alive == (2,)
    assert to_pictures(shared.decode([2]), requests[2:]) == kept[2:]


def test_a_pass_without_rows_ends() -> None:
    base = SteadyBase()
    shared = pass_for(base, [GenerationRequest(prompt="a", steps=4, guidance=1.0)])
    steps = shared.steps()
    next(steps)
    shared.drop(0)
    shared.drop(0)
    assert next(steps, None) is None
    assert base.passes == [1]


def test_a_known_opening_spares_the_first_prediction(painter: Painter) -> None:
    base = painter.base
    request = GenerationRequest(prompt="a cat", steps=1, guidance=1.0, seed=7)
    first = pass_for(base, [request])
    assert list(first.steps()) == [1]
    finer = GenerationRequest(prompt="a cat", steps=4, guidance=1.0, seed=7)
    one, four = base.schedule(1, 256, 256), base.schedule(4, 256, 256)
    assert share_first_prediction(one, four)
    row = rows_for(base, [finer])[0]
    opened = DenoiseRow(prompt=row.prompt, seed=row.seed, opening=first.openings[0])
    shared = pass_for(base, [finer], [opened])
    assert list(shared.steps()) == [1, 2, 3, 4]
    assert shared.predictions == 3
    assert to_pictures(shared.decode([0]), [finer])[0] == painter.paint(finer)


def test_negative_prompts_come_exactly_where_they_matter() -> None:
    base = SteadyBase()
    request = GenerationRequest(prompt="a", guidance=1.0, steps=1)
    with pytest.raises(ValueError, match="expected all with one"):
        DenoiseBatch(
            base,
            rows_for(base, [request]),
            width=256,
            height=256,
            schedule=base.schedule(1, 256, 256),
            guidance=2.0,
        )


def test_overflow_is_the_rows_own() -> None:
    base = SteadyBase(broken_after=0)
    shared = pass_for(base, [GenerationRequest(prompt="a", guidance=1.0, steps=1)])
    list(shared.steps())
    with pytest.raises(PaintError, match="latents"):
        shared.decode([0])


def test_nothing_is_decoded_before_a_step() -> None:
    with pytest.raises(RuntimeError, match="expected at least one step"):
        pass_for(SteadyBase(), [GenerationRequest(prompt="a", guidance=1.0, steps=1)]).decode([0])


def test_inference_mode_stays_inside() -> None:
    shared = pass_for(SteadyBase(), [GenerationRequest(prompt="a", guidance=1.0, steps=2)])
    next(shared.steps())
    assert not torch.is_inference_mode_enabled()

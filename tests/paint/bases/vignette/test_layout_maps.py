"""A layout on its way to the denoiser: into a table, into a map, through the quick path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.tabulated import tabulate
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.layout import LAYERS, Box, PaintedLayout, Thing
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette
from allaprima.paint.bases.vignette.layout import GAIN, draw_map, pooled_states
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.planned_base import PlannedBase

CAT = Thing(kind="cat", box=Box(0.1, 0.2, 0.6, 0.9), number=1, color=(255, 51, 0))
SUN = Thing(kind="sun", box=Box(0.5, 0.0, 1.2, 0.4), layer="behind")
SCENE = PaintedLayout(things=(SUN, CAT), whole=frozenset(LAYERS))
BOX = PaintedLayout(things=(CAT,))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> VignetteBase:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("reader"), reads_layout=True)
    return load_vignette(folder, dtype=torch.float32)


def test_the_map_is_that_of_the_table(base: VignetteBase) -> None:
    assert isinstance(base, Base)
    assert base.reads_layout
    code = base.denoiser.kind_code
    assert code is not None
    kinds = [code(pooled_states([thing.kind for thing in one.things], base.text)) for one in (SCENE, BOX)]
    expected = [
        draw_map(tabulate([one.things], [codes], whole=bool(one.whole)), 16, 16)
        for one, codes in zip((SCENE, BOX), kinds, strict=True)
    ]
    drawn = base.draw_layouts([SCENE, BOX], 256, 256)
    torch.testing.assert_close(drawn, torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_a_row_hangs_on_its_own_layout_alone(base: VignetteBase) -> None:
    alone = base.draw_layouts([BOX], 256, 256)
    assert torch.equal(base.draw_layouts([SCENE, BOX], 256, 256)[1], alone[0])
    assert not base.draw_layouts([PaintedLayout()], 256, 256).any()
    assert base.draw_layouts([PaintedLayout(whole=frozenset(LAYERS))], 256, 256).any()
    behind = base.draw_layouts([PaintedLayout(whole=frozenset({"behind"}))], 256, 256)
    layer = LAYERS.index("behind")
    assert behind.unflatten(1, (4, -1))[:, layer, -1].all()  # type: ignore[no-untyped-call]
    assert behind.sum() == GAIN * 16 * 16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_base_paints_what_its_denoiser_is_told(base: VignetteBase, dtype: torch.dtype) -> None:
    base = VignetteBase(text=base.text, denoiser=base.denoiser.to(dtype), autoencoder=base.autoencoder)
    with torch.inference_mode():
        text = base.encode_text(["a cat", "a dog"])
        layout = base.draw_layouts([SCENE, BOX], 256, 256)
        latents, t = base.noise([1, 2], 256, 256).to(dtype), torch.full((2,), 0.75, dtype=dtype)
        expected = base.denoiser(latents, t, text.states.to(dtype), text.mask, layout)
        told = base.predict(latents, t, replace(text, layout=layout))
        close = 1e-4 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(told, expected, rtol=close, atol=close)
        assert not torch.allclose(told.float(), base.predict(latents, t, text).float(), atol=0.01)
    base.denoiser.to(torch.float32)


def test_a_base_without_layout_channels_reads_none(tmp_path: Path) -> None:
    plain = load_vignette(write_tiny_vignette(tmp_path))
    assert not plain.reads_layout


def test_a_planned_base_draws_too(base: VignetteBase) -> None:
    planned = PlannedBase(base, device=torch.device("cpu"))
    assert planned.reads_layout
    assert torch.equal(planned.draw_layouts([BOX], 256, 256), base.draw_layouts([BOX], 256, 256))

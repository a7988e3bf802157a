"""Flow matching on a tiny cache: rows are repeatable, the weight falls on subjects, the loss falls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_vignette import tiny_text_encoder

from allaprima.core.errors import AssetError
from allaprima.lab.training.alignment import UNASKED, WORN, AlignedDenoiser
from allaprima.lab.training.denoiser import (
    BUCKET,
    FlowTask,
    Preview,
    _wears,
    attend_by_products,
    compile_for_training,
)
from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.loop import Draw, LoopConfig, train
from allaprima.lab.training.release import averaged, denoiser_of
from allaprima.lab.training.resident import NOTHING, Resident
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.contract.base import TextStates

DENOISER = DenoiserConfig(
    latent_channels=4, layers=2, heads=2, head_width=16, text_width=8, rope_axes=(4, 6, 6)
)


AUTOENCODER = AutoencoderConfig(
    latent_channels=4,
    encoder_widths=(8, 8, 8),
    encoder_depths=(0, 0, 0),
    decoder_widths=(8, 8, 8),
    decoder_depths=(0, 0, 0),
)


def draw(step: int, batch: int = 6) -> Draw:
    """One process's share of update `step`."""
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=batch, rank=0, device=torch.device("cpu"), generator=generator)


def task_on(cache: LatentCache, **settings: object) -> FlowTask:
    """A task on the cache's scenes."""
    return FlowTask(scenes=Resident([cache], torch.device("cpu")), **settings)  # type: ignore[arg-type]


def test_an_unfinished_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="lacks masks, latents, names, states, empty, spans"):
        LatentCache.open(tmp_path)


def test_text_is_padded_to_the_longest(cache: LatentCache) -> None:
    states, mask = cache.text([(3, 1), None, (0, 2)])
    assert mask.sum(1).tolist() == [cache.spans[3, 1, 1], 2, cache.spans[0, 2, 1]]
    assert states.shape[:2] == mask.shape
    assert not states[~mask].any()


def test_batches_are_a_function_of_the_step(cache: LatentCache) -> None:
    task = task_on(cache)
    model = Denoiser(DENOISER)
    first, again, other = (float(task.loss(model, draw(step))["loss"].detach()) for step in (4, 4, 5))
    assert first == again
    assert first != other


def test_a_bucket_holds_every_length_once(cache: LatentCache) -> None:
    task = task_on(cache)
    batches = [torch.stack(task._chosen(draw(step)), 1) for step in range(BUCKET)]
    assert len({tuple(batch.flatten().tolist()) for batch in batches}) == BUCKET
    dropped = sum(int((batch[:, 1] == NOTHING).sum()) for batch in batches)
    assert 0 < dropped < BUCKET * 6 / 3
    longest = sorted(int(task.scenes.lengths[batch[:, 0], batch[:, 1]].max()) for batch in batches)
    shortest = sorted(int(task.scenes.lengths[batch[:, 0], batch[:, 1]].min()) for batch in batches)
    assert all(short >= long for long, short in zip(longest, shortest[1:], strict=False))


def test_cells_under_a_subject_count_more(cache: LatentCache) -> None:
    torch.manual_seed(0)
    model = Denoiser(DENOISER)
    none = {
        weight: float(task_on(cache, subject_weight=weight).loss(model, draw(0))["loss"].detach())
        for weight in (1.0, 4.0)
    }
    assert none[1.0] == pytest.approx(none[4.0])
    cache.masks[:, :8] = 255
    task = task_on(cache, subject_weight=4.0)
    values = task.loss(model, draw(0))
    scenes, captions = task._chosen(draw(0))
    rows = task.scenes.rows(scenes, captions, 5)
    assert rows.covered[0, 0, 0] == 1.0
    assert rows.covered[0, 15, 0] == 0.0
    assert float(values["plain"]) == pytest.approx(none[1.0])
    assert float(values["flow"]) != pytest.approx(none[1.0])


def test_subjects_that_wear_something_count_more(cache: LatentCache) -> None:
    torch.manual_seed(0)
    model = Denoiser(DENOISER)
    cache.names[:, WORN] = UNASKED  # no subject anywhere
    plain = float(task_on(cache).loss(model, draw(0))["flow"].detach())
    assert float(task_on(cache, worn_weight=3.0).loss(model, draw(0))["flow"]) == pytest.approx(plain)
    cache.names[:, WORN, :4] = 2  # the upper half is of subjects in hats
    cache.names[:, WORN, 4:] = 0  # the lower of such in none
    task = task_on(cache, worn_weight=3.0)
    scenes, captions = task._chosen(draw(0))
    wears = _wears(task.scenes.rows(scenes, captions, 5).names)
    assert wears.shape == (len(scenes), 1, 16, 16)
    assert wears[:, :, :8].all()
    assert not wears[:, :, 8:].any()
    assert float(task.loss(model, draw(0))["flow"]) != pytest.approx(plain)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # which the compiler itself looks at
def test_a_compiled_training_averages_and_samples_the_average(cache: LatentCache, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Denoiser(DENOISER)
    compile_for_training(model, backend="eager")
    plan = LoopConfig(
        folder=tmp_path, steps=3, batch_size=4, learning_rate=0.1, warmup_steps=1, ema_decay=0.9
    )
    average = train(model, task_on(cache, text_tokens=8), plan)
    plain = Denoiser(DENOISER)
    averaged(tmp_path, plain)
    x, t, states = torch.randn(1, 4, 16, 16), torch.ones(1), torch.randn(1, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(average(x, t, states), plain(x, t, states), atol=1e-5)
        assert not torch.allclose(average(x, t, states), model(x, t, states), atol=1e-2)


def test_a_fixed_length_changes_nothing_but_the_padding(cache: LatentCache) -> None:
    torch.manual_seed(0)
    model = Denoiser(DENOISER)
    free, fixed = (task_on(cache, text_tokens=tokens).loss(model, draw(1))["loss"] for tokens in (None, 8))
    assert torch.allclose(free, fixed, atol=1e-5)


def test_lengths_are_padded_to_a_multiple(cache: LatentCache) -> None:
    torch.manual_seed(0)
    model = Denoiser(DENOISER)
    met: list[int] = []
    model.transformer.txt_in.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0].shape[1]))
    task, padded = task_on(cache), task_on(cache, text_multiple=4)
    for step in range(BUCKET):
        torch.testing.assert_close(
            task.loss(model, draw(step))["loss"], padded.loss(model, draw(step))["loss"]
        )
    assert {length % 4 for length in met[1::2]} == {0}
    assert len(set(met[::2])) > len(set(met[1::2]))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_products_is_attention(masked: bool) -> None:
    query, key, value = (
        torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)
    )
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[1, :, :, 3:] = False
    kept = mask if masked else None
    torch.testing.assert_close(
        attend_by_products(query, key, value, kept),
        torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=kept),
    )


def test_a_head_learns_to_name_the_tokens_and_is_not_released(cache: LatentCache, tmp_path: Path) -> None:
    torch.manual_seed(0)
    cache.names[:] = np.where(cache.latents[:, :1, :8, :8] > 0, 1, 2)
    denoiser = Denoiser(DENOISER)
    denoiser.begin()
    model, task = AlignedDenoiser(denoiser), task_on(cache)
    before = task.loss(model, draw(0))
    plan = LoopConfig(folder=tmp_path, steps=60, batch_size=8, learning_rate=4e-3, warmup_steps=10)
    train(model, task, plan)
    after = task.loss(model, draw(0))
    assert after["naming"] < before["naming"] / 3
    assert after["named"] > 0.9
    released = Denoiser(DENOISER)
    assert averaged(tmp_path, released) == 60
    assert denoiser_of(tmp_path).config == replace(DenoiserConfig(), latent_channels=4)
    rows = task.scenes.rows(torch.tensor([0]), torch.tensor([0]), 4)
    with torch.inference_mode():
        assert released(rows.clean, torch.ones(1), rows.states, rows.mask).shape == rows.clean.shape


def test_it_learns_and_paints_what_the_text_says(cache: LatentCache, tmp_path: Path) -> None:
    torch.manual_seed(0)
    text = TextStates(
        states=torch.stack([torch.full((2, 8), 1.0), torch.full((2, 8), -1.0), torch.zeros(2, 8)]),
        mask=torch.ones(3, 2, dtype=torch.bool),
    )
    preview = Preview(
        text=tiny_text_encoder(8), autoencoder=Autoencoder(AUTOENCODER).eval(), prompts=("cat", "dog"), steps=4,
        columns=2,
    )  # fmt: skip
    task = task_on(cache, preview=preview)
    model = Denoiser(DENOISER)
    model.begin()
    plan = LoopConfig(folder=tmp_path / "run", steps=150, batch_size=8, learning_rate=4e-3, warmup_steps=10,
                      sample_every=150, ema_decay=0.9)  # fmt: skip
    averaged = train(model, task, plan)
    x, t = torch.randn(2, 4, 16, 16), torch.ones(2)
    with torch.inference_mode():
        clean = x - averaged(x, t, text.states[:2])
    assert clean[0].mean() - clean[1].mean() > 0.4
    assert clean[1].mean() < 0 < clean[0].mean()
    assert (tmp_path / "run" / "sample-0000150.png").stat().st_size > 1000

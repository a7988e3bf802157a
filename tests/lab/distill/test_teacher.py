"""A base as a teacher: in which number format, what it keeps, and what it holds out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.lab.distill.tiny import CPU, draw, rows, write_cache
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.lab.distill import teacher as teacher_module
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.lab.training.latents import CAPTIONS
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import Base


def laid_out(base: Base, folder: Path) -> TeacherSetup:
    """The base on the bench with five prompts of unequal lengths."""
    prompts = folder / "prompts.txt"
    prompts.write_text("a cat\na dog on a roof\ntwo cats\na hat\nthree black cats\n", encoding="utf-8")
    return set_up_teacher(base, "0" * 64, prompts=prompts)


def test_pixels_have_a_gradient_beyond_their_range_whatever_vignette_was_loaded_in(tmp_path: Path) -> None:
    folder = write_tiny_vignette(tmp_path / "weights")
    bench = laid_out(load_vignette(folder, dtype=torch.bfloat16), tmp_path)
    latents = torch.full((1, *bench.shape), 9.0, requires_grad=True)
    pixels = bench.raw_decode(latents)
    assert float(pixels.detach().max()) > 1 or float(pixels.detach().min()) < 0
    outside = pixels[(pixels < 0) | (pixels > 1)]
    (gradient,) = torch.autograd.grad(outside.sum(), latents)
    assert bool(gradient.any())
    with torch.no_grad():
        assert torch.allclose(bench.decode(latents), pixels.clamp(0, 1), atol=1e-4)


@pytest.mark.parametrize("write", [write_tiny_sdxl, write_tiny_qwen])
def test_prompts_are_read_once_and_the_encoders_let_go(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_module, "_ENCODED_AT_ONCE", 2)
    base = load_base(str(write(tmp_path / "base")), device=CPU, dtype=torch.float32)
    before = base.encode_text(["a cat", "a dog on a roof", "two cats", "a hat", "three black cats"])
    bench = laid_out(base, tmp_path)
    found = bench.texts.take(range(5))
    assert found.lengths == before.lengths
    assert torch.equal(found.mask, before.mask)
    assert torch.equal(found.states, before.states)
    encoders = base.stages()["text"]
    assert {one.device.type for encoder in encoders for one in encoder.parameters()} == {"meta"}
    assert {one.device.type for one in bench.network.parameters()} == {"cpu"}
    latents = torch.randn(2, bench.shape[0], 4, 4)
    with torch.no_grad():
        assert torch.allclose(bench.decode(latents), base.decode(latents), atol=1e-4)


@pytest.mark.parametrize("kind", ["cache", "prompts"])
def test_a_bench_does_not_learn_from_its_exam(kind: str, tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path / "weights"))
    if kind == "cache":
        bench = set_up_teacher(base, "0" * 64, caches=(write_cache(tmp_path / "cache"),), held_out=3)
        assert (bench.last, bench.validation_prompts) == (9 * CAPTIONS, (36, 40, 44))
    else:
        (prompts := tmp_path / "prompts.txt").write_text("\n".join("abcdefghijkl"), encoding="utf-8")
        bench = set_up_teacher(base, "0" * 64, prompts=prompts, held_out=3)
        assert (bench.last, bench.validation_prompts) == (9, (9, 10, 11))
    known = rows(bench.texts.take(range(len(bench.texts))))
    learned = {
        known.index(words) for step in range(60) for words in rows(bench.material.batch(draw(step)).text)
    }
    assert learned == set(range(bench.last))

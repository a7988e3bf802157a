"""The bench: which bases it takes, in which number format, and what it keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import UserError
from allaprima.lab.distill import teacher as teacher_module
from allaprima.lab.distill.networks import network_of
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.sdxl.base import SdxlBase
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import Base
from allaprima.paint.sampling.process import VariancePreserving, exploding_sigma

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prediction": "v_prediction"}, "prediction 'v'"),
        ({"embedded_guidance": True}, "guidance 'embedded'"),
        ({"scheduler": {"rescale_betas_zero_snr": True}}, "rescale_betas_zero_snr"),
    ],
)
def test_only_plain_predictors_of_noise_are_taught_from(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    base = load_base(str(write_tiny_sdxl(tmp_path / "sdxl", **settings)), device=CPU)
    with pytest.raises(UserError, match=f"{told}.*expected"):
        network_of(base)


@pytest.mark.parametrize("kind", ["base", "turbo"])
def test_an_sdxl_as_published_is_taught_from(kind: Any, tmp_path: Path) -> None:
    base = load_base(str(write_tiny_sdxl(tmp_path / "sdxl", kind)), device=CPU)
    assert network_of(base).root == "unet"


def test_an_sdxl_is_taught_at_its_own_betas(tmp_path: Path) -> None:
    base = load_base(str(write_tiny_sdxl(tmp_path / "sdxl", scheduler={"beta_end": 0.02})), device=CPU)
    assert isinstance(base, SdxlBase)
    process = network_of(base).process
    assert isinstance(process, VariancePreserving)
    assert torch.allclose(process.alphas[:-1], torch.from_numpy(base.scheduler.alphas), rtol=1e-5)
    schedule = base.schedule(4, 96, 96, "trailing")
    assert process.timesteps(4)[:-1] == schedule.times
    assert [exploding_sigma(share) for share in process.sigmas(4)] == pytest.approx(schedule.sigmas, rel=1e-3)


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

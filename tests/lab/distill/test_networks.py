"""Networks of the families: which bases are taught from, and what their networks predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import (
    CPU,
)
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import UserError
from allaprima.lab.distill.networks import network_of
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.sdxl.base import SdxlBase
from allaprima.paint.sampling.process import VariancePreserving, exploding_sigma


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prediction": "v_prediction"}, "prediction 'v'"),
        ({"embedded_guidance": True}, "guidance 'embedded'"),
        ({"scheduler": {"rescale_betas_zero_snr": True}}, "rescale_betas_zero_snr"),
        ({"reads_mask": True}, "which was trained to paint what a mask says"),
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

"""The bench: which bases it takes, in which number format, and what it keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import UserError
from allaprima.lab.distill.bench import network_of
from allaprima.paint.bases.loading import load_base

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prediction": "v_prediction"}, "prediction 'v'"),
        ({"embedded_guidance": True}, "guidance 'embedded'"),
        ({"scheduler": {"beta_end": 0.02}}, "betas of its own"),
        ({"scheduler": {"rescale_betas_zero_snr": True}}, "betas of its own"),
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

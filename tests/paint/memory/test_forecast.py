from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.paint.memory.forecast import forecast

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sdxl(tmp_path_factory.mktemp("bases") / "sdxl")


def test_weights_that_are_there_are_not_counted_again(folder: Path) -> None:
    def peak(held: int) -> int:
        return forecast(
            str(folder), width=64, height=64, device=CPU, dtype=torch.float32, held=held
        )[0].peak_bytes  # fmt: skip

    assert peak(0) - peak(64 * 2**20) == pytest.approx(64 * 2**20, abs=16 * 2**20)


def test_a_base_that_reads_a_mask_is_forecast_with_it(folder: Path, tmp_path: Path) -> None:
    reader = write_tiny_sdxl(tmp_path / "inpainting", reads_mask=True)

    def work(path: Path) -> int:
        plan = forecast(str(path), width=512, height=512, device=CPU, dtype=torch.float32)[0]
        return plan.bytes_by_moment["predict"]

    latents = 4 * 64 * 64 * 4
    assert work(reader) > work(folder) + latents

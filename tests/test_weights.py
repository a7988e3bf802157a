"""What ships: its size, its metadata, and that it paints."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from allaprima import GenerationRequest, Painter
from allaprima.paint.bases.vignette.base import weights_folder

LIMIT = 95 * 2**20
FILES = sorted(weights_folder().parent.rglob("*.safetensors"))


def test_the_weights_fit_into_the_package() -> None:
    assert {path.name for path in FILES} >= {
        "autoencoder.safetensors",
        "denoiser.safetensors",
        "text.safetensors",
    }
    assert sum(path.stat().st_size for path in FILES) <= LIMIT


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_what_it_is_and_under_which_licence(path: object) -> None:
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["config"].startswith("{")
    assert metadata.get("license") or metadata.get("licence")  # the first text encoder spells it so


def test_it_paints_and_repeats_itself() -> None:
    painter = Painter.load()
    request = GenerationRequest(prompt="a cat on a rooftop at sunset", steps=3, seed=7)
    first, second = painter.paint(request), painter.paint(request)
    assert first.rgb == second.rgb
    assert np.frombuffer(first.rgb, np.uint8).std() > 10


def test_words_matter() -> None:
    painter = Painter.load()
    night, day = (
        np.frombuffer(
            painter.paint(GenerationRequest(prompt=f"a castle in the city, {hour}", steps=6)).rgb, np.uint8
        )
        for hour in ("night", "day")
    )
    assert night.mean() < day.mean()

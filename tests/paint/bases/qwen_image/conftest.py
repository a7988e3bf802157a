"""One tiny checkpoint on disk, loaded by us and by stock diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diffusers import QwenImagePipeline
from tests.tiny_qwen import make_tiny_pipeline, write_tiny_qwen

from allaprima.paint.bases.qwen_image.weights import load_qwen_image

if TYPE_CHECKING:
    from pathlib import Path

    from allaprima.paint.bases.qwen_image.base import QwenImageBase


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_qwen(tmp_path_factory.mktemp("models") / "qwen")


@pytest.fixture(scope="session")
def stock() -> QwenImagePipeline:
    """Stock diffusers' pipeline over the very weights of `checkpoint`."""
    return make_tiny_pipeline()


@pytest.fixture(scope="session")
def base(checkpoint: Path) -> QwenImageBase:
    return load_qwen_image(checkpoint)

"""One tiny checkpoint on disk, loaded by us and by stock diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diffusers import ZImagePipeline
from tests.tiny_z_image import make_tiny_z_image, write_tiny_z_image

from allaprima.paint.bases.z_image.weights import load_z_image

if TYPE_CHECKING:
    from pathlib import Path

    from allaprima.paint.bases.z_image.base import ZImageBase


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_z_image(tmp_path_factory.mktemp("models") / "z-image")


@pytest.fixture(scope="session")
def stock() -> ZImagePipeline:
    """Stock diffusers' pipeline over the very weights of `checkpoint`."""
    return make_tiny_z_image()


@pytest.fixture(scope="session")
def base(checkpoint: Path) -> ZImageBase:
    return load_z_image(checkpoint)

"""One tiny checkpoint on disk, loaded by us and by stock diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diffusers import Flux2KleinPipeline
from tests.tiny_klein import make_tiny_klein, write_tiny_klein

from allaprima.paint.bases.flux2_klein.weights import load_flux2_klein

if TYPE_CHECKING:
    from pathlib import Path

    from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_klein(tmp_path_factory.mktemp("models") / "klein")


@pytest.fixture(scope="session")
def stock() -> Flux2KleinPipeline:
    """Stock diffusers' pipeline over the very weights of `checkpoint`, which heeds guidance."""
    return make_tiny_klein(is_distilled=False)


@pytest.fixture(scope="session")
def base(checkpoint: Path) -> Flux2KleinBase:
    return load_flux2_klein(checkpoint)

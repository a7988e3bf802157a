"""One tiny SDXL, written once, in both layouts, and a hub cache of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.tiny_sdxl import write_tiny_file, write_tiny_sdxl


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a diffusers folder that is not to be changed."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("sdxl") / "base")


@pytest.fixture(scope="session")
def file(folder: Path) -> Path:
    """Return the same weights as one file, not to be changed."""
    return write_tiny_file(folder.with_suffix(".safetensors"), folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Return a diffusers folder of the test's own."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty hub cache that the test has for itself."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"

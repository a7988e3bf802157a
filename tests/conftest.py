"""What tests share: a cache folder of their own, repeatable property tests, versions in the header."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import hypothesis
import pytest

from allaprima.paint.device import precision
from allaprima.paint.device.blas import prefer_quick_products

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The same examples on every machine and every run, so that a failure can be repeated.
hypothesis.settings.register_profile(
    "allaprima", derandomize=True, deadline=None, database=None, max_examples=50
)
hypothesis.settings.load_profile("allaprima")

# Before the first product, as in every command, so that pictures of both have the same bits.
prefer_quick_products()


def pytest_report_header() -> str:
    """Name what the results depend on."""
    names = ("torch", "diffusers", "safetensors", "pillow", "typer")
    return f"{platform.machine()}, " + ", ".join(f"{name} {version(name)}" for name in names)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache folder."""
    folder: Path = tmp_path_factory.getbasetemp() / "cache"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(folder))


@pytest.fixture(autouse=True, scope="session")
def _fp32() -> Iterator[None]:
    """Compute in fp32 where a test does not say otherwise: pictures are compared more finely than bf16 counts."""
    read = precision._read_cpu_flags

    def flags(cpuinfo: Path) -> frozenset[str]:
        return frozenset() if cpuinfo == precision._CPUINFO else frozenset(read(cpuinfo))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "_read_cpu_flags", flags)
        yield

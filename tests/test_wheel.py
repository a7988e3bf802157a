"""What `make packages` makes: small enough for an index, and painting in an environment with nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import allaprima

ROOT = Path(__file__).parents[1]
MOST_BYTES = 100e6
"""Of one file, what PyPI takes."""


@pytest.mark.slow
def test_the_wheel_paints_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", str(tmp_path / "build"))
    run(str(tmp_path / "build/bin/pip"), "install", "--quiet", *hatch())
    build = ["-m", "hatchling", "build", "-d", str(tmp_path / "dist")]
    run(str(tmp_path / "build/bin/python"), *build, cwd=ROOT)
    (wheel,), (archive,) = (tmp_path / "dist").glob("*.whl"), (tmp_path / "dist").glob("*.tar.gz")
    print(f"wheel: {wheel.stat().st_size / 1e6:.1f} MB, sdist: {archive.stat().st_size / 1e6:.1f} MB")
    assert max(wheel.stat().st_size, archive.stat().st_size) < MOST_BYTES
    with tarfile.open(archive) as opened:
        assert any(name.endswith("src/allaprima/cli/app.py") for name in opened.getnames())

    run(sys.executable, "-m", "venv", str(tmp_path / "fresh"))
    torch = re.search(r"^torch==.+$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert torch is not None
    pip = [
        str(tmp_path / "fresh/bin/pip"),
        "install",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
    ]
    run(*pip, torch[0])
    run(*pip, str(wheel))
    prima = str(tmp_path / "fresh/bin/prima")
    assert run(prima, "--version", cwd=tmp_path).strip() == f"prima {allaprima.__version__}"
    painted = run(
        prima, "paint", "a cat on a rooftop", "--seed", "7", "-o", "cat.png", "--json", cwd=tmp_path
    )
    assert json.loads(painted.splitlines()[-1])["seeds"] == [7]
    with Image.open(tmp_path / "cat.png") as image:
        assert image.size == (256, 256)


def hatch() -> list[str]:
    """Return what builds the package."""
    import tomllib

    system = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    return [str(one) for one in system["requires"]]


def run(*command: str, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout

"""`prima distill` on bases of the user's own: the commands of `recipes/` at tiny size, and painting with the LoRA."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.lab.distill.tiny import write_cache
from tests.tiny_klein import write_tiny_klein
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette
from tests.tiny_z_image import write_tiny_z_image

from allaprima.cli.app import run
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.flux2_klein import weights as flux2_klein
from allaprima.paint.bases.qwen_image import weights as qwen_image
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.z_image import weights as z_image

PROMPTS = "a cat\na dog on a roof\ntwo cats\na hat\nthree black cats at night\na bee\na pig\na red car\n"
TINY = RequestDefaults(width=96, height=96, steps=4, guidance=4.0)
"""A tiny SDXL says its own size, transformers of any size paint at 1024 x 1024."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text(PROMPTS, encoding="utf-8")
    return tmp_path


def distil(method: str, base: Path, folder: str, *arguments: str) -> Path:
    """Run the command and return the folder of its run."""
    given = ["--base", str(base), "--prompts", "prompts.txt", "--run", folder, "--exam", "2"]
    training = [] if method == "paths" else ["--updates", "1", "--sample-every", "1"]
    assert run(["distill", method, *given, *training, *arguments]) == 0
    return Path(folder)


def paint(base: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Paint with the best student, by the steps and levels of its file."""
    capsys.readouterr()
    Path("best.safetensors").write_bytes((trained / "best.safetensors").read_bytes())
    options = ["--base", str(base), "--size", "96x96", "--lora", "best", "--lora-dir", ".", "-o", "cat.png"]
    assert run(["paint", "a cat", *options, "--json"]) == 0
    assert Path("cat.png").is_file()


RECIPES: dict[str, tuple[str, ...]] = {
    "turbo": ("--paths", "paths", "--steps", "4", "--rate", "1e-4", "--batch", "2"),
    "sensitive": (
        *("--paths", "paths", "--steps", "4", "--rate", "1e-4", "--batch", "2"),
        *("--sites", "all", "--ranks", "sensitivity"),
    ),
    "lcm": (
        *("--paths", "paths", "--sites", "all", "--ranks", "2", "--guidance", "7.5", "--rate", "1e-4"),
        *("--batch", "2"),
    ),
    "add": (
        *("--paths", "paths", "--steps", "1", "--sites", "all", "--ranks", "2", "--rate", "1e-5"),
        *("--batch", "4"),
    ),
    "dmd": (
        *("--steps", "4", "--guidance", "4", "--sites", "all", "--ranks", "2", "--rate", "1e-5"),
        *("--diversity", "0.05", "--fake-updates", "1", "--batch", "2"),
    ),
}


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (write_tiny_qwen, ("turbo", "sensitive", "dmd")),
        (write_tiny_sdxl, ("lcm", "dmd", "add")),
        (write_tiny_klein, ("turbo",)),
        (write_tiny_z_image, ("dmd",)),
    ],
    ids=["qwen-image", "sdxl", "klein", "z-image"],
)
def test_the_recipes_commands_run_and_their_loras_paint(
    write: Callable[[Path], Path],
    named: tuple[str, ...],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(qwen_image, "QwenImageBase", partial(QwenImageBase, defaults=TINY))
    monkeypatch.setattr(flux2_klein, "_defaults", lambda _: TINY)
    monkeypatch.setattr(z_image, "defaults_of", lambda _: TINY)
    base = write(folder / "base")
    distil("paths", base, "paths", "--count", "3", "--guidance", "4", "--batch", "2", "--teacher-steps", "4")
    for name in named:
        trained = distil("turbo" if name == "sensitive" else name, base, name, *RECIPES[name])
        exams = [json.loads(line) for line in (trained / "exam.jsonl").read_text().splitlines()]
        assert [exam["step"] for exam in exams] == [1]
        paint(base, trained, capsys)


def test_the_critic_sees_vignettes_pixels(folder: Path) -> None:
    given = [
        "--weights",
        str(write_tiny_vignette(folder / "weights")),
        "--cache",
        str(write_cache(folder / "cache")),
    ]
    wanted = ["--features", "pixel", "--updates", "1", "--batch", "2", "--exam", "2", "--run", "run"]
    assert run(["distill", "add", *given, *wanted]) == 0

"""Folders of one-coloured pictures with the same names: seeing says whose a picture is, its file does not."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, PngImagePlugin

COLORS = {"better": (30, 160, 60), "worse": (200, 40, 40), "third": (40, 60, 200)}


def write_folders(folder: Path, count: int, names: tuple[str, ...] = ("better", "worse")) -> list[Path]:
    """Write `count` pictures for each of `names` and return the folders."""
    folders = [folder / name for name in names]
    for path in folders:
        path.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            told = PngImagePlugin.PngInfo()
            told.add_text("parameters", f"a cat number {number}\nSteps: 4, Lora hashes: {path.name}")
            Image.new("RGB", (32, 32), COLORS[path.name]).save(path / f"cat-{number:02d}.png", pnginfo=told)
    return folders

"""Pictures to learn from, drawn here, and bases of the real classes that are too small to have learned anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.tiny_klein import write_tiny_klein
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette
from tests.tiny_z_image import write_tiny_z_image

from allaprima.lab.lora.pictures import CaptionedPictures, caption, find_pictures
from allaprima.lab.lora.train import LoraSettings, TrainedLora, train_lora
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base

CPU = torch.device("cpu")
SIZES = {
    "vignette": (256, 256),
    "qwen-image": (64, 96),
    "sdxl": (64, 96),
    "sdxl-v": (64, 96),
    "flux2-klein": (64, 96),
    "z-image": (64, 96),
}
"""By base, what pictures are fitted to."""


def write_pictures(folder: Path, count: int = 3, size: tuple[int, int] = (80, 64)) -> Path:
    """Write pictures of coarse noise, with a caption beside each, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(numbers.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize(size).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a zorp, number {number}\n")
    return folder


def captioned(folder: Path, count: int = 3) -> CaptionedPictures:
    """Return such pictures as a training takes them."""
    return caption(find_pictures([write_pictures(folder, count)]), name="zorp", said=None, trigger="zorp")


def base_of(name: str, folder: Path) -> Base:
    """Return one of the bases of `SIZES`, float32."""
    if name == "vignette":
        weights = folder / name
        if not weights.exists():  # its file is its hash, and the order of metadata in it is not always one
            write_tiny_vignette(weights)
        return load_base("vignette", device=CPU, dtype=torch.float32, weights=weights)
    writers: dict[str, Callable[[Path], Path]] = {
        "qwen-image": write_tiny_qwen,
        "flux2-klein": write_tiny_klein,
        "z-image": write_tiny_z_image,
    }
    if name in writers:
        path = writers[name](folder / name)
    else:
        path = write_tiny_sdxl(folder / name, prediction="v_prediction" if name == "sdxl-v" else "epsilon")
    return load_base(str(path), device=CPU, dtype=torch.float32)


def train_on(name: str, folder: Path, **settings: object) -> TrainedLora:
    """Train a LoRA on one of the bases, into `folder`."""
    given = {"name": "zorp", "rank": 2, "batch_size": 2, "windows": 1, "size": SIZES[name], **settings}
    return train_lora(
        base_of(name, folder),
        captioned(folder / "pictures"),
        LoraSettings(**given),  # type: ignore[arg-type]
        target=folder / "zorp.safetensors",
        folder=folder / "run",
        weights=folder / name if name == "vignette" else None,
    )

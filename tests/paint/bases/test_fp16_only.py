"""Repositories that keep their weights in fp16 alone, whole or in shards, found by a revision: for every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_klein import make_tiny_klein
from tests.tiny_qwen import make_tiny_pipeline
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_z_image import make_tiny_z_image

from allaprima.paint.bases.families import FAMILIES
from allaprima.paint.bases.loading import load_base, locate

CPU = torch.device("cpu")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def saved(make: Callable[[], Any]) -> Callable[[Path], object]:
    def save(folder: Path) -> None:
        make().to(torch.float16).save_pretrained(folder, variant="fp16", max_shard_size="200KB")

    return save


WRITERS: dict[str, Callable[[Path], object]] = {
    "qwen-image": saved(make_tiny_pipeline),
    "sdxl": lambda folder: write_tiny_sdxl(folder, dtype=torch.float16, variant="fp16"),
    "flux2-klein": saved(make_tiny_klein),
    "z-image": saved(make_tiny_z_image),
}


def test_every_family_with_folders_is_tried() -> None:
    assert set(WRITERS) == {name for name, family in FAMILIES.items() if family.pipelines}


@pytest.mark.parametrize("family", WRITERS)
def test_weights_in_fp16_alone_are_found_by_a_revision(family: str, hub: Path) -> None:
    home = hub / "models--owner--name"
    WRITERS[family](home / "snapshots" / COMMIT)
    (home / "refs").mkdir()
    (home / "refs" / "fp16").write_text(COMMIT)
    names = [file.name for file in home.rglob("*.safetensors")]
    assert names
    assert all(".fp16" in name for name in names)
    for spec in ("owner/name@fp16", f"owner/name@{COMMIT}", "owner/name"):
        assert locate(spec).family == family
    base = load_base("owner/name@fp16", device=CPU, dtype=torch.float32)
    assert base.family == family
    assert all(
        bool(weight.isfinite().all())
        for stage in base.stages().values()
        for one in stage
        for weight in one.parameters()
    )

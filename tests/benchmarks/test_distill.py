"""The benchmark of the distillations: its rows, and that both who take turns draw the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from allaprima.lab.distill.data import CacheData, CacheTexts
from allaprima.lab.training.loop import Draw
from benchmarks import distill


def test_a_kept_batch_leaves_the_numbers_as_the_cache_does(tmp_path: Path) -> None:
    material = CacheData(texts=(CacheTexts(cache=distill._cache(tmp_path, scenes=4)),))

    def after(take: CacheData | distill.Kept) -> float:
        generator = torch.Generator().manual_seed(3)
        draw = Draw(step=0, batch_size=2, device=torch.device("cpu"), generator=generator)
        take.batch(draw)
        return float(torch.rand((), generator=generator))

    draw = Draw(step=0, batch_size=2, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    assert after(distill.Kept(material.batch(draw))) == after(material)


@pytest.mark.slow
def test_every_method_has_its_rows(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(distill.main)
    words = ["--updates", "1", "--rounds", "1", "--batch", "2", "--layers", "4", "--results", str(tmp_path)]
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0, ran.output
    rows = {row["name"]: row for row in json.loads(ran.stdout.splitlines()[-1])["rows"]}
    for method in ("turbo", "lcm", "add", "dmd"):
        assert rows[f"{method}, updates per second"]["value"] > 0
        assert rows[f"{method}, lost to the loop"]["must"] == 10.0

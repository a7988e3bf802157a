"""The evaluation of pictures from end to end, on weights and a judge that have learned nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.evaluation.quick import SURE, RedFinder
from tests.tiny_vignette import write_tiny_vignette
from typer.testing import CliRunner

from allaprima.cli.evaluate import app
from allaprima.lab.comparison.loaded_weights import LoadedWeights, PictureSettings, PictureTools
from allaprima.lab.comparison.picture_evaluation import evaluate_pictures
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.scenes.sprites import SpriteCache

SMALL = PictureSettings(pictures=9, velocity_scenes=3, typed_pairs=2, finder_scenes=2)


def test_every_row_of_a_base_without_layouts_is_there(
    small_judge: Judge, sprites: SpriteCache, tmp_path: Path
) -> None:
    new, old = (LoadedWeights.load(write_tiny_vignette(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    tools = PictureTools(
        judge=small_judge, accuracy=dict(SURE), matte=RedFinder(), features=None, sprites=sprites
    )
    evaluation = evaluate_pictures(new, old, tools, SMALL)
    rows = {row.name: row for row in evaluation.rows}
    assert len(rows) == len(evaluation.rows)
    asked = {name: (row.must, row.aim) for name, row in rows.items() if row.must is not None}
    steps = "strongest 2 % of horizontal steps, share of renders'"
    wanted = {
        f"{steps}: reconstructions": (0.75, 0.95),
        f"{steps}: paintings, 4 steps": (0.65, 0.9),
        "Frechet distance to renders, 4 steps: change": (-30, -60),
        "judge, 4 steps: accessory right": (85, 92),
        "judge, 4 steps: accessory right: ahead of the other weights": (0, 2),
    }
    assert wanted.items() <= asked.items()
    # Two frames of networks that have learned nothing may be equal, and nothing is a share of no change.
    unmeasured = {
        name.split(":")[0].split(",")[0]
        for name, row in rows.items()
        if row.must is not None and row.value is None and not name.startswith("change of the background")
    }
    assert unmeasured == {
        "Frechet distance to renders",
        "overlap (IoU) with a box asked for",
        "velocity's error at t = 0.98",
        "velocity's error at t = 0.8",
    }
    assert len(evaluation.left_out) == 3
    assert json.dumps(evaluation.to_json())
    assert (rows["velocity's error at t = 0.98, words"].value or 0) > 0


@pytest.mark.usefixtures("sprites")
def test_pairs_are_written_for_people(tmp_path: Path) -> None:
    weights, pairs = write_tiny_vignette(tmp_path / "weights"), tmp_path / "pairs"
    options = ["--weights", str(weights), "--against", str(weights), "--count", "9", "--pairs", str(pairs)]
    done = CliRunner().invoke(app, ["pictures", *options, "--json"])
    assert done.exit_code == 0, done.output
    paths = json.loads(done.stdout.splitlines()[-1])["paths"]
    assert len(list(pairs.glob("*.png"))) == 9
    assert json.loads(Path(paths["key"]).read_text())["A"].keys() == {
        f"pair-{one:02}" for one in range(1, 10)
    }

"""The evaluation from end to end, on a base and a judge that have learned nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.lab.evaluation.quick import QUICK, SURE, evaluate
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette
from typer.testing import CliRunner

from allaprima.cli.evaluate import app
from allaprima.lab.evaluation.accuracy import ATTRIBUTES
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.suites import SUITES
from allaprima.lab.evaluation.vignette import evaluate_vignette
from allaprima.lab.training.judge import JudgeTask, save_judge
from allaprima.lab.training.loop import Draw

ISSUE_ROWS = [
    "autoencoder PSNR",
    "autoencoder SSIM",
    "one subject right",
    "two subjects both right",
    "place right",
    "hour right",
    "accessory right",
    "count right",
    "weather right",
    "held-out pairings behind seen ones",
    "Chinese behind English",
    "words never in training captions",
    "black, NaN or constant pictures",
]


def test_every_row_is_there_and_every_prompt_is_painted_once(small_judge: Judge) -> None:
    seen: list[tuple[str, int, int]] = []
    base = SteadyBase()
    evaluation = evaluate_vignette(
        base, small_judge, SURE, settings=QUICK, on_progress=lambda *progress: seen.append(progress)
    )
    assert [row.name for row in evaluation.rows if row.must is not None] == ISSUE_ROWS
    assert seen == [("painting", done, 12) for done in (5, 10, 12)]
    assert sum(len(prompts) for prompts in base.encoded) == 24  # each with its empty prompt
    assert {shown.answer.ask.suite for shown in evaluation.shown} == set(SUITES)
    states = {row.name: row.state for row in evaluation.rows}
    assert states["autoencoder PSNR"] == "not measured"
    assert states["black, NaN or constant pictures"] == "aim reached"


def test_broken_weights_are_counted_and_not_judged(small_judge: Judge) -> None:
    evaluation = evaluate(SteadyBase(broken_after=0), small_judge)
    rows = {row.name: row for row in evaluation.rows}
    assert rows["black, NaN or constant pictures"].value == 12
    assert rows["place right"].value == 0


@pytest.mark.usefixtures("sprites")
def test_training_batches_are_a_function_of_the_step(small_judge: Judge, tmp_path: Path) -> None:
    def losses(*steps: int) -> list[float]:
        task = JudgeTask(small_judge.config, side=64, workers=0)
        draws = [
            Draw(step=step, batch_size=2, rank=0, device=torch.device("cpu"), generator=torch.Generator())
            for step in steps
        ]
        small_judge.eval()
        return [float(task.loss(small_judge, draw)["loss"].detach()) for draw in draws]

    first, second = losses(0, 1)
    assert losses(1, 0) == [second, first]
    JudgeTask(small_judge.config, side=64, workers=0).sample(small_judge, tmp_path, 7)
    assert json.loads((tmp_path / "accuracy.jsonl").read_text())["step"] == 7


@pytest.mark.usefixtures("sprites")
def test_the_commands_end_with_a_line_of_json(small_judge: Judge, tmp_path: Path) -> None:
    judge, weights = tmp_path / "judge.safetensors", write_tiny_vignette(tmp_path / "weights")
    save_judge(small_judge, judge, SURE, scenes=1)
    options = ["--prompts", "9", "--steps", "1", "--batch", "9", "--scenes", "2", "--weights", str(weights)]
    options += ["--judge", str(judge), "--out", str(tmp_path / "out"), "--json"]
    ran = CliRunner().invoke(app, ["vignette", *options])
    assert ran.exit_code == 0, ran.output
    data = json.loads(ran.stdout.splitlines()[-1])
    assert {row["name"] for row in data["rows"]} >= set(ISSUE_ROWS)
    assert Path(data["paths"]["html"]).is_file()
    ran = CliRunner().invoke(app, ["judge", "--scenes", "2", "--judge", str(judge), "--json"])
    assert ran.exit_code == 0, ran.output
    assert [row["attribute"] for row in json.loads(ran.stdout.splitlines()[-1])["rows"]] == list(ATTRIBUTES)


def test_a_quick_look_has_bounds(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["vignette", "--prompts", "3", "--out", str(tmp_path)])
    assert ran.exit_code == 2

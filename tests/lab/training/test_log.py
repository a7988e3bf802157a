"""What a training writes down, and the time it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.training.line import Line, config, fresh
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.training.log import Clock
from allaprima.lab.training.loop import Draw, train


def test_a_budget_tells_how_many_updates_there_will_be() -> None:
    clock = Clock(60.0, spent=30.0)
    assert clock.updates_in_all(100, 1000) in range(190, 201)
    assert clock.updates_in_all(100, 150) == 150
    assert Clock(None).updates_in_all(100, 1000) == 1000
    assert Clock(1.0, spent=30.0).updates_in_all(100, 1000) == 100


def test_a_runs_settings_name_no_folder_of_the_machine(tmp_path: Path) -> None:
    home = tmp_path / "home" / "anna"
    train(fresh(), Line(), config(home / "run", 2))
    written = (home / "run" / "config.json").read_text()
    assert "anna" not in written
    assert json.loads(written)["folder"] == "run"


def test_a_loss_that_is_not_a_number_stops_the_training(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
            return {"loss": super().loss(model, draw)["loss"] * float("nan")}

    with pytest.raises(UserError, match="got loss nan at update 5; expected a finite number"):
        train(fresh(), Broken(), config(tmp_path, 10))


def test_what_is_drawn_is_drawn_again_after_a_kill_and_no_line_is_written_twice(tmp_path: Path) -> None:
    drawn: list[tuple[int, float]] = []

    class Draws(Line):
        kills_at = 0

        def sample(self, model: nn.Module, folder: Path, step: int) -> None:
            del folder
            drawn.append((step, float(sum(one.sum() for one in model.parameters()))))
            if step == self.kills_at:
                raise KeyboardInterrupt

    plan = replace(config(tmp_path, 6), save_every=2, sample_every=2, log_every=1)
    task = Draws()
    task.kills_at = 4
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), task, plan)
    task.kills_at = 0
    train(fresh(), task, plan)
    assert [step for step, _ in drawn] == [2, 4, 4, 6]
    assert drawn[1] == drawn[2]
    lines = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [1, 2, 3, 4, 5, 6]

"""Ranks are chosen within the budget and kept beside the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.lab.distill.tiny import run

from allaprima.core.errors import UserError
from allaprima.lab.training.checkpoint import read_tensors, write_tensors


def test_sensitivity_chooses_ranks_within_the_budget_and_keeps_them(tmp_path: Path) -> None:
    outcome = run(tmp_path, "sensitive", 2, sites="all", ranks="sensitivity", parameters=6000)
    kept = json.loads((tmp_path / "sensitive" / "ranks.json").read_text())
    assert 0 < kept["parameters"] <= 6000
    assert outcome.parameters == kept["parameters"]


@pytest.mark.parametrize("ranks", [[], {}, {"txt_in": "high"}, {"txt_in": 0}])
def test_ranks_that_are_none_are_refused(tmp_path: Path, ranks: object) -> None:
    path = tmp_path / "odd.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"distill.site_ranks": json.dumps(ranks)})
    with pytest.raises(UserError, match="expected a LoRA that `prima distill` wrote"):
        run(tmp_path, "turbo", 2, start=path)


def test_a_training_that_never_began_leaves_no_ranks_behind(tmp_path: Path) -> None:
    wrong = run(tmp_path, "everywhere", 2, sites="all", ranks="2").lora
    assert wrong is not None
    tensors, metadata = read_tensors(wrong)
    odd = {"nowhere.to_q": 2}
    write_tensors(tmp_path / "odd.safetensors", tensors, {**metadata, "distill.site_ranks": json.dumps(odd)})
    with pytest.raises(UserError, match=r"with a layer nowhere\.to_q"):
        run(tmp_path, "turbo", 2, start=tmp_path / "odd.safetensors")
    run(tmp_path, "turbo", 2, ranks="3")
    ranks = json.loads((tmp_path / "turbo" / "ranks.json").read_text())["ranks"]
    assert set(ranks.values()) == {3}


def test_a_budget_too_small_for_any_rank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="got a budget of 1 parameters"):
        run(tmp_path, "turbo", 2, ranks="sensitivity", parameters=1)

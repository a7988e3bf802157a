"""The judge: peaks are counted, verdicts are read, files round-trip, and it learns what it is shown."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.lab.evaluation.accuracy import compare
from allaprima.lab.evaluation.judge import (
    Judge,
    JudgeConfig,
    JudgeReading,
    Seen,
    Verdict,
    find_peaks,
    load_judge,
    read_verdicts,
)
from allaprima.lab.evaluation.targets import Copy, Targets, build_targets, judge_losses, stack_targets
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.training.judge import save_judge
from allaprima.lab.training.loop import Draw, LoopConfig, train
from allaprima.paint.layout.vocabulary import Hour, Side

COLORS = {"rose": (0.9, 0.1, 0.1), "leaf": (0.1, 0.8, 0.2), "pond": (0.1, 0.2, 0.9)}
TINY = JudgeConfig(kinds=tuple(COLORS), widths=(8, 16, 16), blocks=(0, 1, 0))
SIDE, CELLS = 64, 8


def heat(*peaks: tuple[int, int, float], side: int = 8) -> Tensor:
    """A map that is 0.05 everywhere but at the peaks (row, column, height)."""
    map_ = torch.full((side, side), 0.05)
    for row, column, height in peaks:
        map_[row, column] = height
    return map_


def test_peaks_are_found_where_they_are() -> None:
    assert find_peaks(heat((1, 2, 0.9), (6, 5, 0.6)), 0.4) == [(1, 2), (6, 5)]


def test_low_peaks_are_none() -> None:
    assert find_peaks(heat((1, 2, 0.39)), 0.4) == []


def test_the_slope_of_a_peak_is_not_a_second_one() -> None:
    assert find_peaks(heat((3, 3, 0.9), (3, 4, 0.8), (4, 4, 0.7)), 0.4) == [(3, 3)]


def test_a_plateau_is_one_peak() -> None:
    assert find_peaks(heat((3, 3, 0.9), (3, 4, 0.9), (4, 3, 0.9), (4, 4, 0.9)), 0.4) == [(3, 3)]


def test_peaks_two_cells_apart_are_two_and_edges_count() -> None:
    assert find_peaks(heat((0, 0, 0.9), (0, 2, 0.9), (7, 7, 0.5)), 0.4) == [(0, 0), (0, 2), (7, 7)]


def reading(copies: list[tuple[int, int, int, int]]) -> JudgeReading:
    """A clear reading of copies (row, column, kind, accessory)."""
    middle = torch.full((1, CELLS, CELLS), -6.0)
    kind, accessory = torch.zeros(1, 3, CELLS, CELLS), torch.zeros(1, 9, CELLS, CELLS)
    for row, column, which, worn in copies:
        middle[0, row, column] = 6.0
        around = (slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2))
        kind[0, which, *around] = 9.0
        accessory[0, worn, *around] = 9.0
    place, hour, weather = torch.zeros(1, 16), torch.zeros(1, 4), torch.zeros(1, 4)
    place[0, 2], hour[0, 3], weather[0, 1] = 5.0, 5.0, 5.0
    return JudgeReading(middle, kind, accessory, place, hour, weather)


def test_a_reading_becomes_kinds_counts_sides_and_accessories() -> None:
    crown = TINY.accessories.index("crown")
    (verdict,) = read_verdicts(reading([(4, 1, 1, 0), (4, 5, 2, crown), (4, 7, 2, crown)]), TINY)
    assert [(seen.kind, seen.count, seen.accessory) for seen in verdict.things] == [
        ("leaf", 1, None),
        ("pond", 2, "crown"),
    ]
    assert (verdict.place, verdict.hour, verdict.weather) == ("forest", "night", "rain")
    assert (verdict.side("leaf"), verdict.side("pond"), verdict.side("rose")) == ("left", "right", None)
    assert verdict.find("pond") == verdict.things[1]
    assert (verdict.count("pond"), verdict.count("rose")) == (2, 0)
    assert verdict.describe() == "1 leaf, 2 pond (crown), forest, night, rain"


def test_an_empty_picture_holds_nothing() -> None:
    (verdict,) = read_verdicts(reading([]), TINY)
    assert verdict.things == ()
    assert verdict.describe().startswith("nothing, ")


@pytest.mark.parametrize(("number", "side"), [(1, "middle"), (2, "left"), (3, "left")])
def test_sides_go_by_order_among_what_is_seen(number: int, side: Side) -> None:
    things = tuple(
        Seen(kind=kind, count=1, x=0.2 + index * 0.3, accessory=None, belief=1.0)
        for index, kind in enumerate(list(COLORS)[:number])
    )
    verdict = Verdict(things=things, place="beach", hour="day", weather="clear")
    assert verdict.side("rose") == side
    assert number < 3 or verdict.side("leaf") == "middle"


def sample(seed: int) -> tuple[Tensor, Targets, Scene]:
    """One to three squares of one colour on a ground as light as the hour."""
    rng = random.Random(seed)
    kind, count = rng.choice(list(COLORS)), rng.randint(1, 3)
    hour: Hour = rng.choice(("day", "night"))
    picture = torch.full((3, SIDE, SIDE), 0.8 if hour == "day" else 0.2)
    copies = []
    for column in rng.sample(range(3), count):
        left, top = 2 + 22 * column, rng.randint(8, 40)
        picture[:, top : top + 14, left : left + 14] = torch.tensor(COLORS[kind])[:, None, None]
        copies.append(Copy(kind, None, (left / SIDE, top / SIDE, (left + 14) / SIDE, (top + 14) / SIDE)))
    scene = Scene(
        seed=seed, subjects=(Subject(kind=kind, count=count),), place="beach", hour=hour, weather="clear"
    )
    return picture, build_targets(scene, copies, TINY, CELLS), scene


class Squares:
    """Say which squares are there: the judge's task at its smallest."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """The losses of one batch."""
        samples = [sample(1000 * draw.step + index) for index in range(draw.batch_size)]
        pictures = torch.stack([picture for picture, _, _ in samples])
        losses = judge_losses(model(pictures), stack_targets([truth for _, truth, _ in samples]))
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Nothing to look at."""


def test_a_tiny_judge_learns_to_see_squares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LoopConfig(
        folder=tmp_path,
        steps=100,
        batch_size=8,
        learning_rate=1e-2,
        warmup_steps=5,
        decay_steps=40,
        ema_decay=0.9,
        clip_norm=5.0,
    )
    judge = train(Judge(TINY), Squares(), config)
    assert isinstance(judge, Judge)
    unseen = [sample(seed) for seed in range(9_000_000, 9_000_040)]
    verdicts = judge.look(torch.stack([picture for picture, _, _ in unseen]))
    for attribute in ("kind", "count", "hour"):
        tallies = [
            compare(scene, verdict)[attribute]
            for (_, _, scene), verdict in zip(unseen, verdicts, strict=True)
        ]
        assert sum(tally.right for tally in tallies) >= 0.9 * sum(tally.total for tally in tallies), attribute


def test_looking_leaves_the_judge_in_its_mode() -> None:
    judge = Judge(TINY).train()
    judge.look(torch.rand(1, 3, SIDE, SIDE))
    assert judge.training


def test_a_file_round_trips_with_its_accuracy(tmp_path: Path) -> None:
    torch.manual_seed(1)
    judge, path = Judge(TINY).eval(), tmp_path / "judge.safetensors"
    save_judge(judge, path, {"kind": 0.99, "weather": 0.5}, scenes=10)
    again, accuracy = load_judge(path)
    assert accuracy == {"kind": 0.99, "weather": 0.5}
    assert again.config == TINY
    pictures = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.allclose(again(pictures).kind, judge(pictures).kind, atol=0.02)


def test_what_is_not_a_judge_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no judge at"):
        load_judge(tmp_path / "none.safetensors")
    path = tmp_path / "judge.safetensors"
    save_judge(Judge(TINY), path, {}, scenes=0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_judge(path)


def test_unknown_keys_of_a_configuration_are_errors() -> None:
    with pytest.raises(TypeError):
        JudgeConfig.from_json('{"kinds": ["cat"], "width": 3}')
    assert JudgeConfig.from_json(TINY.to_json()) == TINY

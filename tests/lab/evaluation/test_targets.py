"""What the judge is taught: middles, kinds and accessories on the grid, from the renderer's ground truth."""

from __future__ import annotations

import torch

from allaprima.lab.evaluation.judge import JudgeConfig
from allaprima.lab.evaluation.targets import IGNORED, Copy, build_targets, middle_loss, stack_targets
from allaprima.lab.scenes.spec import Scene, Subject

CONFIG = JudgeConfig(kinds=("cat", "car"))


SCENE = Scene(seed=1, subjects=(Subject(kind="cat"),), place="city", hour="dawn", weather="fog")


def test_middles_bumps_and_labels() -> None:
    copies = [Copy("cat", "crown", (0.0, 0.0, 0.5, 0.5)), Copy("car", None, (0.5, 0.5, 1.0, 1.0))]
    targets = build_targets(SCENE, copies, CONFIG, 32)
    assert torch.nonzero(targets.middle[0] == 1).tolist() == [[8, 8], [24, 24]]
    assert 0 < targets.middle[0, 8, 9] < 1
    assert targets.kind[0, 8, 8] == 0
    assert targets.kind[0, 24, 24] == 1
    assert targets.kind[0, 8, 24] == IGNORED
    assert targets.accessory[0, 8, 8] == CONFIG.accessories.index("crown")
    assert targets.accessory[0, 24, 24] == 0
    assert [int(part) for part in (targets.place, targets.hour, targets.weather)] == [3, 1, 3]


def test_even_the_smallest_copy_is_asked_for_in_one_cell() -> None:
    targets = build_targets(SCENE, [Copy("car", None, (0.999, 0.999, 1.0, 1.0))], CONFIG, 8)
    assert targets.kind[0, 7, 7] == 1


def test_batches_are_joined_along_the_first_axis() -> None:
    targets = build_targets(SCENE, [], CONFIG, 8)
    assert stack_targets([targets, targets]).middle.shape == (2, 8, 8)


def test_the_middle_loss_is_least_at_the_truth() -> None:
    truth = build_targets(SCENE, [Copy("cat", None, (0.2, 0.2, 0.6, 0.6))], CONFIG, 16).middle
    right = torch.where(truth == 1, 8.0, -8.0)
    missed, invented = torch.full_like(right, -8.0), right.clone()
    invented[0, 14, 14] = 8.0
    assert middle_loss(right, truth) < 0.01
    assert middle_loss(missed, truth) > 1
    assert middle_loss(invented, truth) > 1

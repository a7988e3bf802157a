"""What a judge ought to say about a rendered scene, and how wrong it is.

The middles are trained as in CenterNet (Zhou et al. 2019, "Objects as Points", equation 1): a bump around
each true middle, a focal loss with exponents 2 and 4. Kind and accessory are asked for in every cell of the
inner part of a copy's box, so that one picture teaches dozens of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from allaprima.lab.evaluation.judge import NO_ACCESSORY, JudgeConfig, JudgeReading
from allaprima.lab.scenes.spec import Scene

IGNORED = -1
INNER = 0.3
"""Kind and accessory are asked for in cells within this share of a box's sides from its middle."""


class Copy(NamedTuple):
    """One copy of a subject in a picture; the box is left, top, right, bottom in fractions of the sides."""

    kind: str
    accessory: str | None
    box: tuple[float, float, float, float]


class Targets(NamedTuple):
    """The truth about B pictures on a grid of H x W cells, part by part as a :class:`JudgeReading` has them."""

    middle: Tensor
    """(B, H, W): bumps, 1.0 in the cells that are middles."""
    kind: Tensor
    """(B, H, W): index of the kind, or IGNORED."""
    accessory: Tensor
    """(B, H, W): index of the accessory, or IGNORED."""
    place: Tensor
    """(B,): index of the place; hour and weather alike."""
    hour: Tensor
    weather: Tensor


def build_targets(scene: Scene, copies: Sequence[Copy], config: JudgeConfig, cells: int) -> Targets:
    """Return the truth about one picture on a grid of `cells` x `cells`, with B = 1."""
    middle = torch.zeros(cells, cells)
    kind = torch.full((cells, cells), IGNORED)
    accessory = torch.full((cells, cells), IGNORED)
    centres = torch.arange(cells) + 0.5
    for copy in copies:
        left, top, right, bottom = (edge * cells for edge in copy.box)
        x, y = (left + right) / 2, (top + bottom) / 2
        column, row = (min(max(int(value), 0), cells - 1) for value in (x, y))
        spread = min(max(min(right - left, bottom - top) / 9, 0.6), 1.5)
        away = (centres[None, :] - column - 0.5).square() + (centres[:, None] - row - 0.5).square()
        middle = torch.maximum(middle, torch.exp(-away / (2 * spread * spread)))
        columns = (centres - x).abs() <= max(INNER * (right - left), 0.5)
        rows = (centres - y).abs() <= max(INNER * (bottom - top), 0.5)
        inner = rows[:, None] & columns[None, :]
        inner[row, column] = True
        kind[inner] = config.kinds.index(copy.kind)
        accessory[inner] = config.accessories.index(copy.accessory or NO_ACCESSORY)
    return Targets(
        middle=middle[None],
        kind=kind[None],
        accessory=accessory[None],
        place=torch.tensor([config.places.index(scene.place)]),
        hour=torch.tensor([config.hours.index(scene.hour)]),
        weather=torch.tensor([config.weathers.index(scene.weather)]),
    )


def stack_targets(targets: Sequence[Targets]) -> Targets:
    """Stack the targets of all pictures into one batch."""
    return Targets(*(torch.cat(parts) for parts in zip(*targets, strict=True)))


def middle_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return CenterNet's focal loss, per true middle; both maps are (B, H, W)."""
    at_middle = (truth == 1).float()
    belief = logits.sigmoid()
    found = at_middle * (1 - belief).square() * logsigmoid(logits)
    false = (1 - at_middle) * (1 - truth) ** 4 * belief.square() * logsigmoid(-logits)
    return -(found + false).sum() / at_middle.sum().clamp(min=1)


def judge_losses(reading: JudgeReading, targets: Targets) -> dict[str, Tensor]:
    """Return the loss of each part; their sum is what training lowers."""
    parts = zip(JudgeReading._fields[1:], reading[1:], targets[1:], strict=True)
    losses = {name: cross_entropy(logits, truth, ignore_index=IGNORED) for name, logits, truth in parts}
    return {"middle": middle_loss(reading.middle, targets.middle), **losses}

"""The rows of the evaluation of pictures: each figure with what must be reached and what is aimed at.

What is told against other weights stands in percent or points of change, as the rows say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allaprima.lab.comparison.unseen_velocity import UnseenVelocity
from allaprima.lab.comparison.velocity import VelocityError
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.evaluation.rows import ReportRow

VELOCITY_TARGETS = {0.98: (-30.0, -55.0), 0.8: (-20.0, -40.0)}
"""Of the change with whole layouts, by noise level, in percent."""
JUDGED_TARGETS = {
    "one subject right": (94.0, 99.0), "accessory right": (85.0, 92.0),
    "words never in training captions": (72.0, 85.0),
}  # fmt: skip


def told(name: str, value: float | None, unit: str, *, less: bool = False) -> Measure:
    """Return a row that nothing is asked of."""
    return Measure(name=name, value=value, unit=unit, better="less" if less else "more")


def change(now: float | None, before: float | None) -> float | None:
    """Return by how many percent a figure has changed."""
    return None if now is None or not before else 100 * (now / before - 1)


def lowered(
    name: str, now: float | None, before: float | None, unit: str, must: float, aim: float
) -> list[Measure]:
    """Return a figure of which less is better, its value with the other weights, and the change in percent."""
    percent = change(now, before)
    return [
        Measure(name=f"{name}: change", value=percent, unit="%", better="less", must=must, aim=aim),
        told(name, now, unit, less=True),
        told(f"{name}, other weights", before, unit, less=True),
    ]


def sharpness_rows(shares: Mapping[str, float], before: float) -> list[Measure]:
    """Return how steep outlines are, as shares of the renders', by what was measured."""
    name = "strongest 2 % of horizontal steps, share of renders'"
    asked = {"reconstructions": (0.75, 0.95), "paintings, 4 steps": (0.65, 0.9)}
    rows = []
    for what, share in shares.items():
        must, aim = asked.get(what, (None, None))
        rows.append(Measure(name=f"{name}: {what}", value=share, unit="", better="more", must=must, aim=aim))
    return [*rows, told(f"{name}: paintings, 4 steps, other weights", before, "")]


def velocity_rows(new: UnseenVelocity, old: UnseenVelocity) -> list[Measure]:
    """Return the errors of the velocity; with layouts the change is against the other weights' words alone."""
    rows = []
    for mine, other in zip(new.words, old.words, strict=True):
        name = f"velocity's error at t = {mine.time:g}"
        rows += [
            told(f"{name}, words", mine.everywhere, "mse", less=True),
            told(f"{name}, words, under subjects", mine.under_subjects, "mse", less=True),
            told(f"{name}, words, other weights", other.everywhere, "mse", less=True),
        ]
        layout = next((one for one in new.layouts if one.time == mine.time), None)
        rows += _layout_rows(name, layout, other)
    return rows


def _layout_rows(name: str, layout: VelocityError | None, other: VelocityError) -> list[Measure]:
    must, aim = VELOCITY_TARGETS[other.time]
    percent = None if layout is None else change(layout.everywhere, other.everywhere)
    rows = [
        Measure(
            name=f"{name}, whole layouts: change against the other weights' words", value=percent, unit="%",
            better="less", must=must, aim=aim,
        )
    ]  # fmt: skip
    if layout is not None:
        rows += [
            told(f"{name}, whole layouts", layout.everywhere, "mse", less=True),
            told(f"{name}, whole layouts, under subjects", layout.under_subjects, "mse", less=True),
        ]
    return rows


def judged_rows(new: Sequence[ReportRow], old: Sequence[ReportRow]) -> list[Measure]:
    """Return what the judge says of pictures in 4 steps, and by how many points that is above the other weights'."""
    rows = []
    for mine, other in zip(new, old, strict=True):
        less = mine.unit in ("points", "pictures")
        must, aim = JUDGED_TARGETS.get(mine.name, (None, None))
        name = f"judge, 4 steps: {mine.name}"
        rows.append(
            Measure(
                name=name,
                value=mine.value,
                unit=mine.unit,
                better="less" if less else "more",
                must=must,
                aim=aim,
            )
        )
        if mine.value is not None and other.value is not None:
            ahead = (other.value - mine.value) if less else (mine.value - other.value)
            rows.append(
                Measure(
                    name=f"{name}: ahead of the other weights", value=ahead, unit="points", better="more",
                    must=0.0, aim=None if less else 2.0,
                )
            )  # fmt: skip
    return rows


def measured(row: ReportRow) -> Measure:
    """Return a report's row as a measure."""
    return Measure(name=row.name, value=row.value, unit=row.unit, better="more", must=row.must, aim=row.aim)

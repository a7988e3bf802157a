"""How often the judge is right on rendered scenes it has never seen, attribute by attribute.

An attribute on which it is right less often than `REPORTED_FROM` is not reported anywhere: a judge that errs
cannot say how often a painter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from allaprima.lab.evaluation.judge import Judge, Verdict
from allaprima.lab.evaluation.truth import render_truth
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache

Attribute = Literal["kind", "count", "side", "accessory", "place", "hour", "weather"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)

TEST_SEED = 3_000_000_000
"""The first scene the judge is tested on; it learns from seeds between 2,000,000,000 and this."""
REPORTED_FROM = 0.98


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often something was right."""

    right: int = 0
    total: int = 0

    @property
    def rate(self) -> float:
        """Share that was right; 0.0 where nothing was asked."""
        return self.right / self.total if self.total else 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(right=self.right + other.right, total=self.total + other.total)


def tally(rights: Iterable[bool]) -> Tally:
    """Count answers."""
    listed = list(rights)
    return Tally(right=sum(listed), total=len(listed))


def compare(scene: Scene, verdict: Verdict) -> dict[Attribute, Tally]:
    """Return how a verdict fares against the truth, attribute by attribute.

    Kind: every subject of the scene and every kind seen that is not there is one question, so that missing
    things and inventing them both count. Count, side and accessory are asked of the subjects that were found.
    """
    found = [(subject, seen) for subject in scene.subjects if (seen := verdict.find(subject.kind))]
    kinds = {subject.kind for subject in scene.subjects}
    strangers = sum(seen.kind not in kinds for seen in verdict.things)
    return {
        "kind": Tally(right=len(found), total=len(scene.subjects) + strangers),
        "count": tally(seen.count == subject.count for subject, seen in found),
        "side": tally(verdict.side(subject.kind) == subject.side for subject, _ in found),
        "accessory": tally(seen.accessory == subject.accessory for subject, seen in found),
        "place": tally([verdict.place == scene.place]),
        "hour": tally([verdict.hour == scene.hour]),
        "weather": tally([verdict.weather == scene.weather]),
    }


def reported(accuracy: Mapping[str, float]) -> frozenset[Attribute]:
    """Return the attributes on which a judge of this accuracy may be heard."""
    return frozenset(name for name in ATTRIBUTES if accuracy.get(name, 0.0) >= REPORTED_FROM)


def measure_judge(
    judge: Judge,
    scenes: Sequence[Scene],
    sprites: SpriteCache,
    *,
    side: int = 256,
    alter: Callable[[Tensor], Tensor] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[Attribute, Tally]:
    """Show rendered scenes to the judge and count how often it is right.

    Args:
        judge: the judge.
        scenes: what to render.
        sprites: the renderer's sprites.
        side: of the pictures, in pixels.
        alter: applied to batches (B, 3, side, side) in [0, 1] first, such as an autoencoder.
        on_progress: called with how many scenes are judged so far.
    """
    sums: dict[Attribute, Tally] = dict.fromkeys(ATTRIBUTES, Tally())
    for start in range(0, len(scenes), 16):
        group = scenes[start : start + 16]
        pictures = torch.stack([render_tensor(scene, sprites, side) for scene in group])
        for scene, verdict in zip(group, judge.look(alter(pictures) if alter else pictures), strict=True):
            sums = {name: sums[name] + counted for name, counted in compare(scene, verdict).items()}
        if on_progress:
            on_progress(start + len(group))
    return sums


def render_tensor(scene: Scene, sprites: SpriteCache, side: int = 256) -> Tensor:
    """Return one scene as (3, side, side) in [0, 1]."""
    picture, _ = render_truth(scene, sprites, side)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def unseen_scenes(count: int, first_seed: int = TEST_SEED) -> list[Scene]:
    """Return the scenes a judge is tested on."""
    return [draw_scene(first_seed + index, split="any") for index in range(count)]

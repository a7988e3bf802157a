"""Reads scenes back out of token states, to teach the text encoder and to measure it; thrown away afterwards.

Everything is one linear map from the states, so that what it can read a denoiser's attention can too. A subject
is found by its kind's score per token; the same scores, as attention, gather the state from which its count,
side, size, accessory and a person's parts are read: they must stand *at* the subject's word, not anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from allaprima.lab.evaluation.accuracy import Tally, tally
from allaprima.lab.training.text_examples import KINDS, SCENE_CLASSES, SUBJECT_CLASSES, Example

_RARE: Final = -5.0
"""First bias of a kind's score: most captions name one or two of 151."""

_UNSAID: Final = 0.3
"""Weight of the answer that nothing was said of an attribute, which is the commonest by far."""

GAIN: Final = 10.0


class FastLinear(nn.Linear):
    """A linear map whose weights count `GAIN`-fold, so that it learns faster than the encoder at one rate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        with torch.no_grad():
            self.weight.div_(GAIN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return functional.linear(x, GAIN * self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of a batch of B examples that name S subjects in all."""

    kinds: torch.Tensor
    """(B, 151) float: 1 named, 0 not, -1 do not ask."""
    scene: torch.Tensor
    """(B, 3) int64 classes of place, hour and weather, -1 do not ask."""
    rows: torch.Tensor
    """(S,) which example a subject belongs to."""
    subject_kinds: torch.Tensor
    """(S,) its kind."""
    subjects: torch.Tensor
    """(S, A) int64 classes of `SUBJECT_CLASSES`, -1 do not ask."""


def collate_labels(examples: Sequence[Example]) -> Labels:
    """Stack the labels of `examples`."""
    kinds = torch.zeros(len(examples), len(KINDS))
    for row, example in enumerate(examples):
        kinds[row, list(example.unsure)] = -1.0
        kinds[row, [subject.kind for subject in example.subjects]] = 1.0
    named = [(row, subject) for row, example in enumerate(examples) for subject in example.subjects]
    return Labels(
        kinds=kinds,
        scene=torch.tensor([example.scene for example in examples]),
        rows=torch.tensor([row for row, _ in named], dtype=torch.long),
        subject_kinds=torch.tensor([subject.kind for _, subject in named], dtype=torch.long),
        subjects=torch.tensor([subject.classes for _, subject in named], dtype=torch.long).view(
            len(named), len(SUBJECT_CLASSES)
        ),
    )


@dataclass(frozen=True, kw_only=True)
class SceneReading:
    """What was read: logits, named and shaped like the labels."""

    kinds: torch.Tensor
    """(B, 151) logit that a kind is named."""
    scene: tuple[torch.Tensor, ...]
    """For place, hour and weather: (B, classes)."""
    subjects: tuple[torch.Tensor, ...]
    """For each of `SUBJECT_CLASSES`: (S, classes)."""
    at_scene: torch.Tensor
    """(3, B, D) states that place, hour and weather were read from."""
    at_subjects: torch.Tensor
    """(S, D) states that subjects' attributes were read from."""


class SceneReader(nn.Module):
    """The linear readers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = FastLinear(width, len(KINDS))
        nn.init.constant_(self.kinds.bias, _RARE)
        self.queries = FastLinear(width, len(SCENE_CLASSES))
        self.scene = nn.ModuleList(FastLinear(width, classes) for classes in SCENE_CLASSES.values())
        self.subjects = nn.ModuleList(FastLinear(width, classes) for classes in SUBJECT_CLASSES.values())

    def read_kinds(self, states: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return per-token scores (B, L, 151), -inf at padding, and their smooth maximum (B, 151)."""
        scores = self.kinds(states).masked_fill(~mask.unsqueeze(-1), -torch.inf)
        return scores, scores.logsumexp(dim=1)

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, subject_kinds: torch.Tensor
    ) -> SceneReading:
        """Read token states (B, L, D); `rows` and `subject_kinds` (S,) say whose attributes are asked for."""
        scores, kinds = self.read_kinds(states, mask)
        attention = scores[rows, :, subject_kinds].softmax(dim=-1)
        at_subjects = torch.einsum("sl,sld->sd", attention, states[rows])
        weights = self.queries(states).masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(dim=1)
        pooled = torch.einsum("blq,bld->qbd", weights, states)
        return SceneReading(
            kinds=kinds,
            scene=tuple(head(pooled[index]) for index, head in enumerate(self.scene)),
            subjects=tuple(head(at_subjects) for head in self.subjects),
            at_scene=pooled,
            at_subjects=at_subjects,
        )


def reading_losses(reading: SceneReading, labels: Labels) -> dict[str, torch.Tensor]:
    """Return the losses to be summed: "kinds", each scene attribute and each subject attribute."""
    asked = (labels.kinds >= 0).float()
    each = functional.binary_cross_entropy_with_logits(
        reading.kinds, labels.kinds.clamp(min=0.0), reduction="none"
    )
    losses = {"kinds": (each * asked).sum(dim=1).mean()}
    return losses | {
        name: _entropy(logits, classes) for name, logits, classes in _attributes(reading, labels)
    }


def _attributes(reading: SceneReading, labels: Labels) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yield the name, logits and classes of each attribute of scenes, then of subjects."""
    yield from zip(SCENE_CLASSES, reading.scene, labels.scene.unbind(1), strict=True)
    yield from zip(SUBJECT_CLASSES, reading.subjects, labels.subjects.unbind(1), strict=True)


def _entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the classes asked for; zero, not NaN, when none is.

    What is said counts more than that nothing is: most captions say neither side nor accessory.
    """
    weights = torch.ones(logits.shape[-1], device=logits.device)
    weights[0] = _UNSAID
    total = functional.cross_entropy(logits, classes, weight=weights, ignore_index=-1, reduction="sum")
    return total / weights[classes[classes >= 0]].sum().clamp(min=_UNSAID)


def twin_loss(reading: SceneReading, labels: Labels, twins: int) -> torch.Tensor:
    """Return how far apart the first `twins` pairs of examples are, of which each tells one scene in two languages.

    It is the mean square between the states that the same thing is read from, whose channels have variance one.
    """
    if not twins:
        return reading.at_scene.new_zeros(())
    paired = labels.rows < 2 * twins
    english, chinese = (reading.at_subjects[paired & (labels.rows % 2 == side)] for side in (0, 1))
    first, second = (reading.at_scene[:, side : 2 * twins : 2] for side in (0, 1))
    said = labels.scene[: 2 * twins : 2].T > 0
    scene = functional.mse_loss(first[said], second[said], reduction="sum")
    subjects = functional.mse_loss(english, chinese, reduction="sum")
    return (scene + subjects) / (max(1, int(said.sum()) + len(english)) * english.shape[-1])


def count_right(reading: SceneReading, labels: Labels) -> dict[str, Tally]:
    """Return for each attribute how many were read right, and of how many.

    "kinds" asks for exactly the kinds named, no more; other attributes count where something was said.
    """
    exact = ((reading.kinds > 0) == (labels.kinds > 0)) | (labels.kinds < 0)
    tallies = {"kinds": tally(exact.all(dim=1).tolist())}
    for name, logits, classes in _attributes(reading, labels):
        tallies[name] = tally((logits.argmax(dim=-1) == classes)[classes > 0].tolist())
    return tallies

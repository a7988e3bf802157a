"""What all methods share: the settings that every one has, and the shape of a task for the loop.

A method is a file with settings, :class:`MethodSettings`, that build a task, :class:`MethodTask`, and a line in
`registry.METHODS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillData
from allaprima.lab.distill.learners import STUDENT, LayerRanks, Learners
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.distill.target_modules import Sites
from allaprima.lab.distill.teacher import TeacherSetup
from allaprima.lab.distill.validation import Validation
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.training.loop import Draw, Turn, TurnTask

Coupling = Literal["teacher", "data"]
"""What a step is to come to: where the teacher's many steps end, or the training picture."""


@dataclass(frozen=True, kw_only=True)
class TaskInputs:
    """What a task is built from, whatever the method."""

    setup: TeacherSetup
    learners: Learners
    validation: Validation | None = None
    features: ImageFeatures | None = None
    """The image network, if there is one."""


@dataclass(frozen=True, kw_only=True)
class MethodSettings(ABC):
    """What a distillation depends on besides the base and the data."""

    method: ClassVar[str]
    learning_rate: ClassVar[float]
    """For LoRAs on Vignette; networks a thousand times its size want a twentieth."""
    needs_pictures: ClassVar[bool] = True
    """Whether prompts alone are too little to learn from."""

    steps: int = 4
    guidance: float = 4.0
    sites: Sites = "text"
    ranks: str = "pattern"
    """"pattern", "sensitivity", or a number for the same rank everywhere."""
    parameters: int = 0
    """Budget of the sensitivity pass; 0 is what the pattern costs."""
    whole: bool = False
    """Train a copy of the network instead of a LoRA."""
    sampler: StudentSampler = "euler"
    start: Path | None = None
    """A student's LoRA to begin with, its ranks among it, in place of one that changes nothing."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse ranks that do not exist, and settings that others leave without effect."""
        if self.ranks not in {"pattern", "sensitivity"} and not (self.ranks.isdecimal() and int(self.ranks)):
            raise UserError(f"got ranks {self.ranks!r}; expected pattern, sensitivity or a number")
        if self.start is not None and self.whole:
            raise UserError("got a LoRA to start from with --whole; expected one of the two")
        own_ranks = (self.sites, self.ranks, self.parameters) != ("text", "pattern", 0)
        if own_ranks and (self.whole or self.start is not None):
            raise UserError(
                "got --sites, --ranks or --parameters with --whole or --start; expected none of them, for a whole "
                "network has no ranks and a LoRA to start from has its own"
            )
        if self.parameters and self.ranks != "sensitivity":
            raise UserError(
                f"got --parameters {self.parameters} with --ranks {self.ranks}; expected --ranks sensitivity, which "
                "alone spends a budget"
            )

    @property
    def teacher_steps(self) -> int:
        """The teacher's steps for the whole way, 48 or near it, with the student's timesteps among its own."""
        return 48 if 48 % self.steps == 0 else 12 * self.steps

    @property
    def coupling_of_ranks(self) -> Coupling:
        """What the sensitivity pass lets a step come to."""
        return "teacher"

    @property
    def follows_trajectories(self) -> bool:
        """Whether the teacher's ways are learned from, where they are known, and not their pictures alone."""
        return False

    @property
    def student_guidance(self) -> float | None:
        """The guidance that a student is told when it paints; None for one that is told none."""
        return None

    def opponents(self, setup: TeacherSetup, ranks: LayerRanks | None) -> Mapping[str, LayerRanks | None]:
        """Return the ranks of those who learn beside a student of `ranks`, by name; None for whole networks."""
        del setup, ranks
        return {}

    @abstractmethod
    def build(self, given: TaskInputs) -> tuple[nn.Module, TurnTask]:
        """Return the model that the loop trains, and its task.

        Raises:
            UserError: the method needs the image network, and there is none.
        """


@dataclass(frozen=True, kw_only=True)
class MethodTask(ABC):
    """A loss in turns; the student's comes last."""

    learners: Learners
    material: DistillData
    guidance: float = 4.0
    """The teacher's."""
    validation: Validation | None = None

    @property
    def turns(self) -> Sequence[Turn]:
        """The opponents' turns, then the student's."""
        student = Turn(name=STUDENT, parameters=self.learners.learned(), loss=self.loss)
        return (*self.opponent_turns, student)

    @property
    def opponent_turns(self) -> tuple[Turn, ...]:
        """The turns of those who learn beside the student."""
        return ()

    @abstractmethod
    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the student's loss, and what else is logged."""

    def learners_of(self, model: nn.Module) -> Learners:
        """Return the learners in the loop's model, or in its average."""
        assert isinstance(model, Learners)
        return model

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Validate the student."""
        if self.validation is not None:
            self.validation.run(self.learners_of(model), folder, step)

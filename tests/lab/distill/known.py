"""A network whose pictures are known by hand, and what it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch, PromptTexts
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.network import Network
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.sampling.process import Flow, TrainingProcess, VariancePreserving

SHAPE = (4, 12, 12)


ROWS = 12


FLOW = Flow(shift=2.0)


PROCESSES = pytest.mark.parametrize(
    "process", [FLOW, VariancePreserving()], ids=["flow", "variance-preserving"]
)


Known = tuple[float, float]
"""`keep` and `say` of a network."""


class Picture(nn.Module):
    """keep x + say words + a colour: what the network holds to be the picture."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.keep, self.say = (nn.Parameter(torch.tensor(one)) for one in known)
        self.time = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.time.weight)

    def forward(self, x: Tensor, t: Tensor, words: Tensor) -> Tensor:
        """The picture, shaped like `x`."""
        told: Tensor = self.time(t[:, None])
        return self.keep * x + self.say * words + told[:, :, None, None]


class Simple(Network):
    """A network of one line, which notes where it is asked; with keep = 0 its picture is the prompt's words."""

    root = "simple"

    def __init__(self, process: TrainingProcess, known: Known) -> None:
        super().__init__(Picture(known), process)
        self.asked: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """No base has it."""
        raise NotImplementedError(base.name)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the prediction that means the picture."""
        self.asked.append((latents.detach(), t))
        return self.process.prediction(latents, t, self.network(latents, t, colours(text)))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The one there is."""
        return [self.network]

    @property
    def time_embedder(self) -> nn.Module:
        """Knows nothing of the time; what is added to it colours the picture."""
        return self.network.get_submodule("time")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """The picture itself."""
        del latents
        found: Tensor = output
        return found


@dataclass(frozen=True)
class Same:
    """One batch for every draw."""

    known: DistillBatch

    def batch(self, draw: Any) -> DistillBatch:
        """The batch."""
        del draw
        return self.known


def words(text: TextStates) -> Tensor:
    """The mean of each prompt's tokens, one by one."""
    rows = zip(text.states, text.mask, strict=True)
    return torch.stack([states[mask].sum(0) / int(mask.sum()) for states, mask in rows])


def colours(text: TextStates) -> Tensor:
    """As pictures of one colour."""
    return words(text)[:, :, None, None].expand(-1, *SHAPE)


def prompts(count: int) -> PromptTexts:
    """Prompts of one to three tokens, as wide as the latents are deep."""
    states = torch.randn(count + 1, 3, 4, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(3)[None] < torch.tensor([1 + row % 3 for row in range(count + 1)])[:, None]
    text = TextStates(states=states, mask=mask)
    return PromptTexts(text=text.rows(range(count)), nothing=text.rows([count]))


def batch_of() -> DistillBatch:
    """Prompts, noise and pictures, the same at every call."""
    generator, known = torch.Generator().manual_seed(2), prompts(ROWS)
    noise, clean = (torch.randn(ROWS, *SHAPE, generator=generator) for _ in range(2))
    return DistillBatch(noise=noise, text=known.take(range(ROWS)), empty=known.empty(ROWS), clean=clean)


def student_of(process: TrainingProcess, teacher: Known, *, width: int = 0, **learners: Known) -> Learners:
    """Whole networks, each with its own idea of the picture."""
    student = Learners(Simple(process, teacher), dict.fromkeys(learners), guidance_width=width)
    for name, (keep, say) in learners.items():
        own = picture_of(student, name)
        with torch.no_grad():
            own.keep.fill_(keep)
            own.say.fill_(say)
    return student


def simple_of(student: Learners, name: str = STUDENT) -> Simple:
    """A learner's network."""
    found = student.of(name)
    assert isinstance(found, Simple)
    return found


def picture_of(student: Learners, name: str = STUDENT) -> Picture:
    """What it believes."""
    found = simple_of(student, name).network
    assert isinstance(found, Picture)
    return found


def guided(batch: DistillBatch, scale: float | Tensor) -> Tensor:
    """The picture that classifier-free guidance makes of prompt and empty prompt; Ho and Salimans 2022."""
    wanted, empty = colours(batch.text), colours(batch.empty)
    return empty + wide(torch.as_tensor(scale).expand(ROWS)) * (wanted - empty)


def wide(t: Tensor) -> Tensor:
    """A number for each row, beside latents."""
    return t[:, None, None, None]


def towards(picture: Tensor, x: Tensor, t: Tensor, after: Tensor) -> Tensor:
    """One step of a flow: straight on towards the picture, which is reached at 0."""
    return picture + wide(after / t) * (x - picture)


def moves(model: nn.Module, task: Any, watched: dict[str, nn.Parameter], folder: Path) -> dict[str, float]:
    """How far parameters move in one update at a rate of 0.001; of many, the first."""
    before = {name: float(one.detach().flatten()[0]) for name, one in watched.items()}
    config = LoopConfig(folder=folder, steps=1, batch_size=ROWS, learning_rate=1e-3, warmup_steps=0)
    train(model, task, config)
    return {name: float(one.detach().flatten()[0]) - before[name] for name, one in watched.items()}

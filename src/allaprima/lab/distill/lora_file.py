"""From a student's LoRA to the file one paints with: diffusers' names, and metadata that say how to paint."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from allaprima.core.errors import UserError, WeightsError
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.rollout import StepRule
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.files.writer import write_lora
from allaprima.paint.lora.update import LowRank


@dataclass(frozen=True, kw_only=True)
class StudentInfo:
    """What a file says of its training."""

    method: str
    family: str
    base_hash: str
    """SHA-256 of the base's weight file."""
    steps: int
    rule: StepRule = "straight"
    license: str = "Apache-2.0"
    commit: str | None = None


def write_student(
    path: Path, student: Learners, about: StudentInfo, *, updates: int, score: float | None = None
) -> Path:
    """Write the student's LoRA to `path`, whole or not at all.

    The levels it was trained at travel with it, so that it is painted with at these and no others; it has learned
    the guidance, so its own is 1.
    """
    raw = {
        "distill.kind": "turbo",
        "distill.method": about.method,
        "distill.updates": str(updates),
        "distill.site_ranks": json.dumps(student.ranks[STUDENT]),
    }
    if score is not None:
        raw["distill.score"] = f"{score:.6f}"
    metadata = LoraMetadata(
        family=about.family,
        base_hash=about.base_hash,
        sigmas=student.process.sigmas(about.steps),
        times=student.process.levels(about.steps)[:-1],
        sampler="lcm" if about.rule == "renoise" else "euler",
        steps=about.steps,
        guidance=1.0,
        license=about.license,
        commit=about.commit,
        raw=raw,
    )
    root = student.network.root
    updates_by_layer = {
        f"{root}.{module}": LowRank(down=down.float().cpu(), up=up.float().cpu())
        for module, (down, up) in student.matrices().items()
    }
    name = f"{about.method}-{about.steps}"
    lora = Lora(name=name, updates=dict(updates_by_layer), metadata=metadata)
    return write_lora(path, lora, dtype=torch.float16)


def ranks_of(path: Path, family: str, sites: Collection[str]) -> dict[str, int]:
    """The rank at each site of a LoRA that `write_student` wrote.

    Args:
        path: of the file.
        family: of the base that it is to be put on.
        sites: the module paths of that base where a LoRA may sit.

    Raises:
        UserError: it is none, cannot be read, or is for another base.
    """
    try:
        _, metadata = read_tensors(path)
        ranks: dict[str, int] = {
            path: int(rank) for path, rank in json.loads(metadata["distill.site_ranks"]).items()
        }
        if not ranks or min(ranks.values()) < 1:
            raise ValueError("no site has a rank")
    except (WeightsError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"got {path} to start from; expected a LoRA that `prima distill` wrote ({error})"
        ) from error
    told = read_metadata(metadata).family or family
    odd = sorted(ranks.keys() - set(sites))
    if told != family or odd:
        what = f"of family {told}" if told != family else f"with a layer {odd[0]}"
        raise UserError(f"got {path} to start from, {what}; expected one for this base, of family {family}")
    return ranks


@torch.no_grad()
def begin_with(student: Learners, path: Path) -> None:
    """Give the student the matrices of a LoRA of its own ranks.

    Raises:
        UserError: the file's layers are others, or of other shapes.
    """
    tensors, _ = read_tensors(path)
    root = student.network.root
    for module, (down, up) in student.parameters_by_site().items():
        for parameter, half in ((down, "A"), (up, "B")):
            found = tensors.get(f"{root}.{module}.lora_{half}.weight")
            if found is None or found.shape != parameter.shape:
                got = "none" if found is None else f"one of shape {tuple(found.shape)}"
                raise UserError(f"{path.name} has for {module} {got}; expected {tuple(parameter.shape)}")
            parameter.copy_(found)

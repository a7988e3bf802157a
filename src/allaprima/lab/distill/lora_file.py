"""From a student's LoRA to the file one paints with: diffusers' names, and metadata that say how to paint."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import torch

from allaprima.core.errors import UserError, WeightsError
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.methods.method import MethodSettings
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.map_inputs import widen_inputs
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.files.writer import write_lora
from allaprima.paint.lora.update import LowRank, Update


def write_student(
    path: Path,
    learners: Learners,
    settings: MethodSettings,
    *,
    family: str,
    base_hash: str,
    updates: int,
    score: float,
) -> Path:
    """Write the student's LoRA to `path`, whole or not at all.

    The noise levels it was trained at travel with it, so that it is painted with at these and no others; it has
    learned the guidance, so its own is 1.
    """
    raw = {
        "distill.kind": "turbo", "distill.method": settings.method, "distill.updates": str(updates),
        "distill.site_ranks": json.dumps(learners.ranks[STUDENT]), "distill.score": f"{score:.6f}",
    }  # fmt: skip
    metadata = LoraMetadata(
        family=family,
        base_hash=base_hash,
        sigmas=learners.process.sigmas(settings.steps),
        times=learners.process.timesteps(settings.steps)[:-1],
        sampler=settings.sampler,
        steps=settings.steps,
        guidance=1.0,
        license="Apache-2.0",
        raw=raw,
    )
    root = learners.network.root
    updates_by_layer: dict[str, Update] = {
        f"{root}.{module}": LowRank(down=down.detach().float().cpu(), up=up.detach().float().cpu())
        for module, (down, up) in learners.lora_parameters().items()
    }
    lora = Lora(name=f"{settings.method}-{settings.steps}", updates=updates_by_layer, metadata=metadata)
    return write_lora(path, lora, dtype=torch.float16)


def student_ranks(path: Path, family: str, targets: Collection[str]) -> dict[str, int]:
    """Return the ranks of a LoRA that `write_student` wrote, by module path.

    Args:
        targets: the module paths of that base where a LoRA may sit.

    Raises:
        UserError: it is none, cannot be read, or is for another base.
    """
    try:
        _, metadata = read_tensors(path)
        stored = json.loads(metadata["distill.site_ranks"])
        ranks: dict[str, int] = {module: int(rank) for module, rank in stored.items()}
        if not ranks or min(ranks.values()) < 1:
            raise ValueError("no site has a rank")
    except (WeightsError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"got {path} to start from; expected a LoRA that `prima distill` wrote ({error})"
        ) from error
    made_for = read_metadata(metadata).family or family
    unknown = sorted(ranks.keys() - set(targets))
    if made_for != family or unknown:
        what = f"of family {made_for}" if made_for != family else f"with a layer {unknown[0]}"
        raise UserError(f"got {path} to start from, {what}; expected one for this base, of family {family}")
    return ranks


@torch.no_grad()
def begin_with(learners: Learners, path: Path) -> None:
    """Give the student the matrices of a LoRA of its own ranks."""
    tensors, _ = read_tensors(path)
    root = learners.network.root
    for module, (down, up) in learners.lora_parameters().items():
        for parameter, half in ((down, "A"), (up, "B")):
            stored = tensors.get(f"{root}.{module}.lora_{half}.weight")
            if stored is not None and (module, half) == ("img_in", "A"):  # of the base before it read a map
                stored = widen_inputs(stored, max(parameter.shape[1], stored.shape[1]))
            if stored is None or stored.shape != parameter.shape:
                got = "none" if stored is None else f"one of shape {tuple(stored.shape)}"
                raise UserError(f"{path.name} has for {module} {got}; expected {tuple(parameter.shape)}")
            parameter.copy_(stored)

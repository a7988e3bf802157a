"""How fast does each distillation train, beside what its passes through the networks cost?

    python -m benchmarks.distill --json

F is one forward pass of a batch without gradient; a backward pass costs 2 F. The model's figure is what an
update's passes add up to; measured is the loop, with data, logging and a checkpoint at its end; bare is the same
updates on one batch kept in memory, with neither. What the loop takes beyond bare is its own. Both take turns, with
the same random numbers: how many steps dmd paints in an update is drawn.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from benchmarks.harness import RESULTS, Row, measure, report
from torch import nn

from allaprima.lab.distill.data import CacheData, CacheTexts, DistillBatch, DistillData
from allaprima.lab.distill.discriminator import Discriminator, TeacherFeatures
from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.methods.add import AddTask, AdversarialModel
from allaprima.lab.distill.methods.dmd import DmdTask
from allaprima.lab.distill.methods.lcm import LcmTask
from allaprima.lab.distill.methods.turbo import TurboTask
from allaprima.lab.distill.networks import Vignette
from allaprima.lab.distill.target_modules import find_target_modules, pattern_ranks
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.loop import Draw, LoopConfig, TurnTask, mixed_norms, seed_of, train
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.sampling.process import Flow

COSTS = {
    "flow matching": 3.0,
    "turbo": 3.0 + 2 * 12,
    "lcm": 3.0 + 1 + 2,
    "add": 3 + 2 + 3 + 1 + 2,
    "dmd": 2.5 + 2 + 2 + 1 + 5 * (2.5 + 3),
}
"""F per update, with backward passes at 2 F; a LoRA's are cheaper, since frozen weights need no gradient.

Turbo asks the teacher 12 times with guidance, unless paths are given. ADD: the student, the critic's look with its
gradient, the teacher, then the heads' turn (a picture, two looks). DMD in 4 steps rolls out 2.5 on average.
"""


@dataclass(frozen=True)
class Kept:
    """One batch, again and again."""

    batch_: DistillBatch

    def batch(self, draw: Draw) -> DistillBatch:
        """The same whatever the update; numbers drawn afterwards are those drawn after one from the cache."""
        torch.rand((), generator=draw.generator)
        draw.uniform(2)
        draw.noise(*self.batch_.noise.shape[1:])
        return self.batch_


@dataclass(frozen=True)
class Stamped:
    """Material that notes when an update first asked for it."""

    material: DistillData
    begun: dict[int, float] = field(default_factory=dict)

    def batch(self, draw: Draw) -> DistillBatch:
        """As the material's."""
        self.begun.setdefault(draw.step, time.perf_counter())
        return self.material.batch(draw)


def main(
    updates: Annotated[int, typer.Option(help="Updates of each method that are timed in a round.")] = 6,
    rounds: Annotated[int, typer.Option(help="How often the loop and its bare updates take turns.")] = 3,
    batch: Annotated[int, typer.Option(help="Samples per update.")] = 16,
    layers: Annotated[int, typer.Option(help="Blocks of the teacher; Vignette has 8.")] = 8,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    device = pick_device()
    rows: list[Row] = []
    details: dict[str, Any] = {"batch": batch, "layers": layers, "costs": COSTS}
    with tempfile.TemporaryDirectory() as folder:
        cache = _cache(Path(folder))
        draw = Draw(step=0, batch_size=batch, device=device, generator=torch.Generator().manual_seed(0))
        material = CacheData(texts=(CacheTexts(cache=cache),))
        kept = material.batch(draw)
        network = _network(layers).to(device)
        t = torch.full((batch,), 0.5, device=device)
        narrow = pick_dtype(device) == torch.bfloat16
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=narrow), mixed_norms():
            forward = measure(lambda: network(kept.noise, t, kept.text), runs=7).median_ms / 1e3
        rows.append(Row(name="one forward pass", value=1e3 * forward, unit="ms"))
        for method in ("turbo", "lcm", "add", "dmd"):
            turns = []
            for _ in range(rounds):
                bare = _bare(*_make(method, layers, Kept(kept), device), updates, batch, device)
                stamps = Stamped(material)
                loop = _loop(*_make(method, layers, stamps, device), stamps, updates, batch)
                turns.append((bare, loop))
            loop = statistics.median(looped for _, looped in turns)
            own = 100 * statistics.median(1 - bare / looped for bare, looped in turns)
            details[f"{method}, seconds of bare and looped updates"] = turns
            rows += [
                Row(name=f"{method}, updates per second", value=1 / loop, unit="/s", better="higher"),
                Row(
                    name=f"{method}, forward passes per update",
                    value=loop / forward,
                    unit="F",
                    aim=COSTS[method],
                ),
                Row(name=f"{method}, lost to the loop", value=own, unit="%", must=10.0, aim=5.0),
            ]
    report("distill", rows, details, as_json=as_json, folder=results)


def _network(layers: int) -> Vignette:
    torch.manual_seed(0)
    return Vignette(Denoiser(DenoiserConfig(layers=layers)).transformer, Flow(shift=2.0))


def _make(
    method: str, layers: int, material: DistillData, device: torch.device
) -> tuple[nn.Module, TurnTask]:
    network = _network(layers).to(device)
    ranks = pattern_ranks(find_target_modules(network))
    learners = {STUDENT: ranks, FAKE: ranks} if method == "dmd" else {STUDENT: ranks}
    student = Learners(network, learners).to(device)
    if method == "turbo":
        return student, TurboTask(learners=student, material=material)
    if method == "lcm":
        return student, LcmTask(learners=student, material=material)
    if method == "dmd":
        return student, DmdTask(learners=student, material=material)
    depths = (layers // 4, layers // 2, layers - 1)
    model = AdversarialModel(student, Discriminator([256] * 3, 384)).to(device)
    features = TeacherFeatures(depths)
    return model, AddTask(learners=student, discriminator=model.heads, material=material, features=features)


def _bare(model: nn.Module, task: TurnTask, updates: int, batch: int, device: torch.device) -> float:
    """Mean seconds of an update that is nothing but the networks and the optimizer."""
    optimizers = [torch.optim.AdamW(turn.parameters, lr=1e-5, fused=True) for turn in task.turns]
    narrow = pick_dtype(device) == torch.bfloat16
    times = []
    for step in range(updates + 1):
        draw = Draw(
            step=step,
            batch_size=batch,
            device=device,
            generator=torch.Generator().manual_seed(seed_of(0, step)),
        )
        started = time.perf_counter()
        for turn, optimizer in zip(task.turns, optimizers, strict=True):
            for _ in range(turn.times):
                with (
                    torch.autocast(device.type, torch.bfloat16, enabled=narrow),
                    mixed_norms(),
                ):  # as the loop has it
                    loss = turn.loss(model, draw)["loss"]
                torch.autograd.backward(loss, inputs=list(turn.parameters))
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - started)
    return statistics.fmean(times[1:])


def _loop(model: nn.Module, task: TurnTask, stamps: Stamped, updates: int, batch: int) -> float:
    """Mean seconds of an update in the loop, a checkpoint among them, from the start of the second on."""
    with tempfile.TemporaryDirectory() as folder:
        plan = LoopConfig(
            folder=Path(folder),
            steps=updates + 2,
            batch_size=batch,
            learning_rate=1e-5,
            log_every=5,
            save_every=max(2, updates),
        )
        train(model, task, plan)
    return (stamps.begun[updates + 1] - stamps.begun[1]) / updates


def _cache(folder: Path, scenes: int = 64) -> LatentCache:
    """Scenes of noise with captions of common length."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 24, (scenes, CAPTIONS))
    starts = np.concatenate([[0], lengths.ravel().cumsum()[:-1]]).reshape(scenes, CAPTIONS)
    np.save(
        folder / "latents.npy",
        rng.standard_normal((scenes, DenoiserConfig().latent_channels, 16, 16)).astype(np.float16),
    )
    np.save(folder / "masks.npy", np.zeros((scenes, 16, 16), np.uint8))
    np.save(folder / "names.npy", np.zeros((scenes, 4, 8, 8), np.int16))
    np.save(folder / "states.npy", rng.standard_normal((int(lengths.sum()), 384)).astype(np.float16))
    np.save(folder / "spans.npy", np.stack([starts, lengths], -1))
    np.save(folder / "empty.npy", rng.standard_normal((2, 384)).astype(np.float16))
    return LatentCache.open(folder)


if __name__ == "__main__":
    typer.run(main)

"""Schedulers of diffusers that a request may name: the rules that published accelerators are painted with.

    schedule = NAMED_SOLVERS["ddim"].schedule(steps=4, betas=SDXL_BETAS, prediction="epsilon")

Each is what `Scheduler.from_config(SDXL's own config, ...)` makes in the instructions that came with the accelerator,
with the levels and the prediction of the checkpoint that is painted with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.discrete_schedule import Betas
from allaprima.paint.sampling.solver import solver_schedule

_OF_SDXL: Mapping[str, Any] = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
"""What SDXL's own `scheduler_config.json` says for every class that reads it."""


@dataclass(frozen=True, kw_only=True)
class NamedSolver:
    """A class of diffusers with its settings."""

    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Beside those of SDXL."""
    eta: float = 0.0
    """How much of each step is fresh noise, 0 to 1."""

    def schedule(self, *, steps: int, betas: Betas, prediction: Prediction) -> Schedule:
        """Return what it visits in `steps` steps; raise whatever diffusers raises where it cannot take so many."""
        settings = {
            **_OF_SDXL,
            **self.settings,
            **_levels(betas),
            "prediction_type": _PREDICTIONS[prediction],
        }
        made = solver_schedule(self.class_name, json.dumps(settings), steps=steps, kind="variance_preserving")
        assert made.solver is not None
        return replace(made, solver=replace(made.solver, eta=self.eta))


NAMED_SOLVERS: dict[str, NamedSolver] = {
    # Hyper-SD in 2, 4, 8 or more steps
    "ddim": NamedSolver(class_name="DDIMScheduler", settings={"timestep_spacing": "trailing"}),
    # Trajectory consistency (arXiv:2402.19159), with the share of noise that its authors advise
    "tcd": NamedSolver(class_name="TCDScheduler", eta=0.3),
    # Hyper-SD's LoRA for one step, which its authors paint so in up to eight
    "tcd-full-noise": NamedSolver(class_name="TCDScheduler", eta=1.0),
}
"""By the name that a request gives."""

_PREDICTIONS: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction"}


def _levels(betas: Betas) -> dict[str, Any]:
    return {
        "beta_schedule": betas.curve, "beta_start": betas.start, "beta_end": betas.end,
        "num_train_timesteps": betas.num_times, "rescale_betas_zero_snr": betas.zero_terminal,
        "trained_betas": None if betas.listed is None else list(betas.listed),
    }  # fmt: skip

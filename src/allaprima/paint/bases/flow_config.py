"""The scheduler_config.json of a model that follows a flow."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.config_values import is_number
from allaprima.paint.bases.folder import read_json
from allaprima.paint.sampling.flow_schedule import FlowSettings

SCHEDULER = "FlowMatchEulerDiscreteScheduler"
_OTHER_CURVES = (
    "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas", "stochastic_sampling",
)  # fmt: skip


def read_flow_settings(path: Path) -> FlowSettings:
    """Return the settings of a scheduler_config.json."""
    config = read_json(path)
    if config.get("num_train_timesteps", 1000) != 1000 or any(config.get(name) for name in _OTHER_CURVES):
        raise WeightsError(f"{path} asks for another scheduler; expected 1000 times, shifted only")
    named = (field.name for field in fields(FlowSettings))
    known = {name: config[name] for name in named if config.get(name) is not None}
    others = {"use_dynamic_shifting", "time_shift_type"}
    are_numbers = all(is_number(value) for key, value in known.items() if key not in others)
    if not are_numbers or known.get("time_shift_type", "linear") not in ("exponential", "linear"):
        raise WeightsError(f"{path} has settings that are no numbers; expected those of {SCHEDULER}")
    try:
        return FlowSettings(**known)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be followed: {error}") from error

"""Loading a base under a plan, so that it never takes more than the plan says, even while its files are read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from allaprima.paint.bases.files.parts import NamedParts
from allaprima.paint.bases.loading import NO_PARTS, Located, load_base, locate
from allaprima.paint.contract.base import Stage
from allaprima.paint.memory.forecast import STAGES, forecast
from allaprima.paint.memory.offload import use_growing_segments
from allaprima.paint.memory.plan import (
    GIB,
    RESERVE,
    MemoryForecast,
    MemoryPlan,
    choose_plan,
    find_thriftier,
    first_plan,
)
from allaprima.paint.memory.planned_base import PlannedBase, release
from allaprima.paint.memory.shortage import MAY_TELL, available_bytes, is_shortage, shortage

if TYPE_CHECKING:
    from allaprima.paint.step_cache.first_block import FirstBlockCache

CPU = torch.device("cpu")


def load_planned(
    spec: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    models_dirs: Sequence[Path] = (),
    named: NamedParts = NO_PARTS,
    weights: Path | None = None,
    quantize: str | None = None,
    plan: MemoryPlan | None = None,
    memory_gib: float | None = None,
    size: tuple[int, int] | None = None,
    count: int = 1,
    step_cache: FirstBlockCache | None = None,
) -> PlannedBase:
    """Load the base called `spec` under the quickest plan that fits, or a thriftier one if memory runs out.

    Args:
        quantize: see `load_base`.
        named: files of the base's parts, see `bases.loading.locate`.
        plan: the plan to begin with; None for the quickest that fits into `memory_gib`.
        memory_gib: the most that may be taken; None for as much as there is.
        size: pixels, width and height, of the largest picture to come; None for the base's own.
        count: pictures that will share a pass.
        step_cache: attached to the base before its weights are streamed.

    Raises:
        OutOfMemoryError: no plan fits.
        RequestError: there is no base of that name.
        WeightsError: a part is missing or damaged.
    """
    if device.type == "cuda":
        use_growing_segments()

    def forecast_for(width: int | None, height: int | None, held: int = 0) -> list[MemoryForecast]:
        return forecast(
            spec, width=width, height=height, device=device, dtype=dtype, count=count, models_dirs=models_dirs,
            named=named, weights=weights, quantize=quantize, held=held,
        )  # fmt: skip

    load = partial(
        load_base, spec, dtype=dtype, models_dirs=models_dirs, named=named, weights=weights, quantize=quantize
    )

    def reload(stage: Stage) -> Sequence[nn.Module]:
        return load(device=CPU, absent=[other for other in STAGES if other != stage]).stages()[stage]

    located = locate(spec, models_dirs, named)
    limit = None if memory_gib is None else limit_bytes(memory_gib, device)
    forecast_largest = partial(forecast_for, *(size or (None, None)))
    if plan is None and limit is not None:
        plan = choose_plan(forecast_largest(), limit, str(device)).plan
    elif plan is None:
        plan = first_plan(_stored_bytes(located, device), available_bytes(device), forecast_largest)
    following: MemoryPlan | None = plan
    while following is not None:
        plan = following
        try:
            is_resident = plan.residency == "resident"
            absent: tuple[Stage, ...] = () if is_resident or device.type != "cpu" else ("text", "predict")
            base = load(device=device if is_resident else CPU, absent=absent)
            if step_cache is not None:
                step_cache.attach(base)
            width, height = size or (base.defaults.width, base.defaults.height)
            return PlannedBase(
                base, plan, device=device, reload=reload, forecast=forecast_for, limit=limit, planned=width * height
            )  # fmt: skip
        except MAY_TELL as error:
            if not is_shortage(error):
                raise
        following = find_thriftier(plan, device.type, reloads=located.traits.reloads)
        release()
    raise shortage(plan, forecast_largest(), available_bytes(device))


def _stored_bytes(located: Located, device: torch.device) -> int:
    """Return the size of the weight files on a CPU; 0 on a GPU and for weights that ship.

    Linux ends a process that takes more memory than there is, without an error and a second try, so a CPU's memory is
    planned for. A GPU raises an error when it is full.
    """
    return sum(file.stat().st_size for file in located.weight_files()) if device.type == "cpu" else 0


def limit_bytes(memory_gib: float, device: torch.device) -> int:
    """Return a limit in bytes; on CUDA, also hold torch to what the driver leaves of it."""
    limit = int(memory_gib * GIB)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        share = min(1.0, max(limit - RESERVE, 1) / total)
        # A bare "cuda" has no index, which torch would refuse in the device itself.
        torch.cuda.set_per_process_memory_fraction(share, device.index)
    return limit

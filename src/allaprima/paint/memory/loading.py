"""Loading a base under a plan, so that it never takes more than the plan says, not even while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from allaprima.paint.bases.loading import load_base, locate
from allaprima.paint.contract.base import Base, Stage
from allaprima.paint.memory.forecast import STAGES, forecast, weight_files
from allaprima.paint.memory.offload import use_growing_segments
from allaprima.paint.memory.plan import (
    GIB,
    RESERVE,
    MemoryForecast,
    MemoryPlan,
    begin_with,
    choose,
    thriftier,
)
from allaprima.paint.memory.planned_base import PlannedBase, release
from allaprima.paint.memory.shortage import MAY_TELL, available_bytes, is_shortage, shortage

CPU = torch.device("cpu")


def load_planned(
    spec: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    models_dirs: Sequence[Path] = (),
    weights: Path | None = None,
    plan: MemoryPlan | None = None,
    memory: float | None = None,
    size: tuple[int, int] | None = None,
    count: int = 1,
) -> PlannedBase:
    """Load the base called `spec` under the quickest plan that fits; thriftier ones are tried if memory runs out.

    Args:
        spec: see `bases.loading`.
        device: where to paint.
        dtype: what to compute in.
        models_dirs: see `bases.loading`.
        weights: a folder of Vignette's weights.
        plan: the plan to begin with; None for the quickest that fits into `memory`.
        memory: GiB that may be taken; None for as much as there is.
        size: pixels, width and height, of the largest picture to come; None for the base's own.
        count: pictures that will share a pass.

    Raises:
        OutOfMemoryError: no plan fits.
        RequestError: there is no base of that name.
        WeightsError: a part is missing or damaged.
    """
    if device.type == "cuda":
        use_growing_segments()

    def foresee(width: int | None, height: int | None, held: int = 0) -> list[MemoryForecast]:
        return forecast(
            spec, width=width, height=height, device=device, dtype=dtype, count=count, models_dirs=models_dirs,
            weights=weights, held=held,
        )  # fmt: skip

    def reload(stage: Stage) -> Sequence[nn.Module]:
        others = [other for other in STAGES if other != stage]
        read = load_base(
            spec, device=CPU, dtype=dtype, models_dirs=models_dirs, weights=weights, absent=others
        )
        return read.stages()[stage]

    allowed = None if memory is None else allowed_bytes(memory, device)
    ahead = partial(foresee, *(size or (None, None)))
    if plan is None and allowed is not None:
        plan = choose(ahead(), allowed, str(device)).plan
    elif plan is None:
        plan = begin_with(_stored_bytes(spec, models_dirs, device), available_bytes(device), ahead)
    following: MemoryPlan | None = plan
    while following is not None:
        plan = following
        try:
            base = _load(spec, plan, device, dtype, models_dirs, weights)
            width, height = size or (base.defaults.width, base.defaults.height)
            return PlannedBase(
                base, plan, device=device, reload=reload, foresee=foresee, limit=allowed, planned=width * height
            )  # fmt: skip
        except MAY_TELL as error:
            if not is_shortage(error):
                raise
        following = thriftier(plan, device.type, locate(spec, models_dirs).family)
        release()
    raise shortage(plan, ahead(), available_bytes(device))


def _stored_bytes(spec: str, models_dirs: Sequence[Path], device: torch.device) -> int:
    """Return the size of the files of weights where more than there is room for would be the process's end.

    A CPU's memory is handed out until there is none, and then the process is ended: no error, no second try. A GPU
    says when it is full.
    """
    path = locate(spec, models_dirs).path if device.type == "cpu" else None
    return 0 if path is None else sum(file.stat().st_size for file in weight_files(path))


def allowed_bytes(memory: float, device: torch.device) -> int:
    """Return the bytes of `memory` GiB; on CUDA torch is held to what the driver leaves of them."""
    allowed = int(memory * GIB)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        share = min(1.0, max(allowed - RESERVE, 1) / total)
        # "cuda" alone has no index, and torch refuses it here.
        torch.cuda.set_per_process_memory_fraction(share, device.index)
    return allowed


def _load(
    spec: str,
    plan: MemoryPlan,
    device: torch.device,
    dtype: torch.dtype,
    models_dirs: Sequence[Path],
    weights: Path | None,
) -> Base:
    stays = plan.residency == "resident"
    absent: tuple[Stage, ...] = () if stays or device.type != "cpu" else ("text", "predict")
    return load_base(
        spec,
        device=device if stays else CPU,
        dtype=dtype,
        models_dirs=models_dirs,
        weights=weights,
        absent=absent,
    )

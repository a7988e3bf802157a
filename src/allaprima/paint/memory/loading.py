"""Loading a base under a plan, so that it never takes more than the plan says, not even while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from allaprima.paint.bases.base import Stage
from allaprima.paint.bases.loading import load_base
from allaprima.paint.memory.forecast import STAGES, forecast
from allaprima.paint.memory.offload import use_growing_segments
from allaprima.paint.memory.plan import GIB, RESERVE, RESIDENT, Forecast, Plan, choose, thriftier
from allaprima.paint.memory.shortage import available_bytes, is_shortage, shortage
from allaprima.paint.memory.thrifty import Foresee, Thrifty, release


def load_thrifty(
    spec: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    models_dirs: Sequence[Path] = (),
    weights: Path | None = None,
    memory: float | None = None,
    size: tuple[int, int] | None = None,
    count: int = 1,
) -> Thrifty:
    """Load the base called `spec` under the quickest plan that fits; thriftier ones are tried if memory runs out.

    Args:
        spec: see `bases.loading`.
        device: where to paint.
        dtype: what to compute in.
        models_dirs: see `bases.loading`.
        weights: a folder of Vignette's weights.
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

    def foresee(width: int | None, height: int | None) -> list[Forecast]:
        return forecast(
            spec, width=width, height=height, device=device, dtype=dtype, count=count, models_dirs=models_dirs,
            weights=weights,
        )  # fmt: skip

    plan: Plan | None = RESIDENT
    if memory is not None:
        plan = choose(foresee(*(size or (None, None))), allowed_bytes(memory, device), str(device)).plan
    tried = RESIDENT
    while plan is not None:
        try:
            return _load(spec, plan, device, dtype, models_dirs, weights, foresee)
        except (MemoryError, RuntimeError, OSError) as error:
            if not is_shortage(error):
                raise
        tried, plan = plan, thriftier(plan, device.type)
        release()
    raise shortage(tried, foresee(*(size or (None, None))), available_bytes(device))


def allowed_bytes(memory: float, device: torch.device) -> int:
    """Return what may be taken of `memory` GiB; on CUDA torch is held to it and the driver's share is taken off."""
    if device.type != "cuda":
        return int(memory * GIB)
    allowed = int(memory * GIB) - RESERVE
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, max(allowed, 1) / total), device)
    return allowed


def _load(
    spec: str,
    plan: Plan,
    device: torch.device,
    dtype: torch.dtype,
    models_dirs: Sequence[Path],
    weights: Path | None,
    foresee: Foresee,
) -> Thrifty:
    cpu = torch.device("cpu")

    def reload(stage: Stage) -> Sequence[nn.Module]:
        others = [other for other in STAGES if other != stage]
        read = load_base(
            spec, device=cpu, dtype=dtype, models_dirs=models_dirs, weights=weights, absent=others
        )
        return read.stages()[stage]

    stays = plan.residency == "resident"
    absent: tuple[Stage, ...] = () if stays or device.type != "cpu" else ("text", "predict")
    base = load_base(
        spec,
        device=device if stays else cpu,
        dtype=dtype,
        models_dirs=models_dirs,
        weights=weights,
        absent=absent,
    )
    return Thrifty(base, plan, device=device, reload=reload, foresee=foresee)

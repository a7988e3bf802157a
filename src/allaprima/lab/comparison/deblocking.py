"""What the de-block network gives and costs: PSNR on pairs that it has not seen, its size, its time."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import torch

from allaprima.core.progress import OnProgress
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.evaluation.metrics import psnr
from allaprima.lab.retouch.deblock import PaintedPairs
from allaprima.paint.retouch.deblock import DeblockNetwork, without_blocks

BATCH = 8
SIDES = (256, 1024)
RUNS = 5
"""Of the timing, after one that warms up."""


def measure_deblocking(
    path: Path,
    network: DeblockNetwork,
    pairs: PaintedPairs,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> list[Measure]:
    """Return the gain in PSNR over what was painted, a row for each noise level, the file's size and the time.

    Args:
        path: the network's file.
        network: what it holds.
        pairs: pictures from few steps beside their scenes; those held out are measured.
        on_progress: called after every batch.
    """
    held_out, gains, levels = pairs.held_out, [], []
    for start in range(0, len(held_out), BATCH):
        batch = pairs.rows(held_out[start : start + BATCH])
        cleaned = without_blocks(batch.painted, network).to(batch.scenes.device)
        gains.append((psnr(cleaned, batch.scenes) - psnr(batch.painted, batch.scenes)).cpu())
        levels.append(batch.levels.cpu())
        on_progress("taking blocks away", min(start + BATCH, len(held_out)), len(held_out))
    gain, level = torch.cat(gains).numpy(), torch.cat(levels).numpy()
    rows = [_gain("PSNR gained on pairs of few steps", float(gain.mean()), must=1.0, aim=1.5)]
    rows += [
        _gain(f"PSNR gained where noise began at {one:.2f}", float(gain[level == one].mean()))
        for one in np.unique(level)
    ]
    megabytes = path.stat().st_size / 1e6
    rows.append(Measure(name="file", value=megabytes, unit="MB", better="less", must=1.0))
    for side in SIDES:
        name = f"time for a picture of {side} x {side}"
        rows.append(Measure(name=name, value=_seconds(network, side), unit="s", better="less"))
    return rows


def _gain(name: str, value: float, *, must: float | None = None, aim: float | None = None) -> Measure:
    return Measure(name=name, value=value, unit="dB", better="more", must=must, aim=aim)


def _seconds(network: DeblockNetwork, side: int) -> float:
    """Return the median time for one square picture."""
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(1 + RUNS):
        started = time.perf_counter()
        without_blocks(picture, network)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])

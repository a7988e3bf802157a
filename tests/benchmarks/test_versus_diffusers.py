from __future__ import annotations

import time
from pathlib import Path

import torch
from benchmarks.versus_diffusers import Pair, _rows, compare, tiny_pairs


def test_the_two_take_turns_and_the_ratio_is_theirs() -> None:
    order: list[tuple[str, int]] = []

    def work(who: str, seconds: float, run: int) -> None:
        order.append((who, run))
        time.sleep(seconds)

    pair = Pair(
        name="nap", stock=lambda run: work("stock", 0.03, run), ours=lambda run: work("ours", 0.01, run)
    )
    compared = compare(pair, runs=3, warm_up=1)
    assert order == [
        ("stock", -1), ("ours", -1), ("ours", 0), ("stock", 0), ("stock", 1), ("ours", 1), ("ours", 2), ("stock", 2),
    ]  # fmt: skip
    assert compared.low <= compared.ratio <= compared.high
    assert compared.ratio > 1
    assert compared.runs == 3
    rows = list(_rows(compared, 1.3))
    assert (rows[0].name, rows[0].value, rows[0].aim, rows[0].better) == (
        "nap, diffusers / ours", compared.ratio, 1.3, "higher",
    )  # fmt: skip


def test_tiny_checkpoints_are_painted_by_both(tmp_path: Path) -> None:
    with torch.inference_mode():
        pair = next(tiny_pairs(tmp_path, torch.device("cpu")))
        compared = compare(pair, runs=1, warm_up=0)
    assert pair.name == "tiny qwen, picture of 4 steps, guidance 4"
    assert compared.ours_ms > 0
    assert compared.stock_ms > 0

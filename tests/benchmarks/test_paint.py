from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from benchmarks.harness import Limits, count_flops, measure
from tests.tiny_vignette import write_tiny_vignette

from benchmarks import paint


def test_every_stage_has_a_row_and_the_result_names_its_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    paint.main(
        weights=weights, runs=2, cold_runs=0, matrix_side=64, results=tmp_path / "results", as_json=True
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["name"]: row for row in last["rows"]}
    for name, aim in (
        ("text", 5.0),
        ("step", 7.0),
        ("decode", 7.0),
        ("jpeg", 0.2),
        ("step with guidance", None),
    ):
        row = rows[f"{name}, fp32"]
        assert set(row) == {"name", "value", "unit", "must", "aim", "better"}
        assert (row["aim"], row["unit"], row["better"]) == (aim, "ms", "lower")
        assert 0 < row["value"] <= rows[f"{name}, fp32, p95"]["value"]
    assert rows["step, fp32, share of the limit"]["value"] > 0
    result = json.loads(Path(last["result"]).read_text())
    assert {"cpu", "cores", "versions", "commit"} <= set(result["machine"])
    assert result["stages"]["step, fp32"]["gflop"] > 0


def test_the_limit_is_whichever_is_felt_first() -> None:
    limits = Limits(gflops=100.0, gb_per_s=10.0)
    assert limits.shortest_ms(flops=1e9, num_bytes=0) == pytest.approx(10.0)
    assert limits.shortest_ms(flops=1e9, num_bytes=1e9) == pytest.approx(100.0)


def test_measuring_and_counting() -> None:
    calls: list[int] = []
    timing = measure(lambda: calls.append(1), runs=5, warm_up=2)
    assert len(calls) == 7
    assert 0 <= timing.median_ms <= timing.p95_ms
    a = torch.ones(4, 8)
    assert count_flops(lambda: a @ a.T) == 2 * 4 * 8 * 4

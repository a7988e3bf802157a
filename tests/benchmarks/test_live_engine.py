from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.typing_script import answer_ms, percentile, type_text
from tests.tiny_vignette import write_tiny_vignette

from benchmarks import live_engine


def test_the_bare_engine_has_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live_engine.main(
        weights=write_tiny_vignette(tmp_path / "weights"),
        keystrokes=4,
        frames=3,
        clients=3,
        client_keystrokes=3,
        memory_frames=3,
        results=tmp_path / "results",
        as_json=True,
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["name"]: row for row in last["rows"]}
    assert rows["bare, keystroke to frame, p50"]["must"] == 60.0
    assert rows["bare, frames per second, seed slider"]["value"] > 0
    assert rows["bare, 3 typists, errors"]["value"] == 0
    assert rows["bare, 3 typists, lost final states"]["value"] == 0
    assert all(math.isfinite(row["value"]) for row in rows.values())


def test_the_script_is_typed_a_key_at_a_time_with_slips_and_corrections() -> None:
    texts = list(type_text(400, seed=3))
    assert texts == list(type_text(400, seed=3)) != list(type_text(400, seed=4))
    assert all(text for text in texts)
    assert any(len(after) < len(before) for before, after in pairwise(texts))
    assert {
        word for word in ("lion", "taxi", "scarf", "foxes", "dragon") if any(word in text for text in texts)
    }


def test_a_keystroke_is_answered_by_its_own_frame_or_a_later_one() -> None:
    sent = {1: 0.0, 2: 0.1, 3: 0.2}
    assert answer_ms(sent, [(0.15, 1), (0.25, 2)]) == [pytest.approx(150), pytest.approx(150), math.inf]
    assert answer_ms(sent, [(0.3, 3), (0.4, 3)]) == [pytest.approx(v) for v in (300, 200, 100)]
    assert percentile([5.0], 95) == 5.0
    assert percentile([float(n) for n in range(1, 101)], 95) == pytest.approx(95.95)

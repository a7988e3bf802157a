from __future__ import annotations

import pytest

from allaprima.lab.evaluation.measures import Better, Measure


@pytest.mark.parametrize(
    ("value", "better", "must", "aim", "state"),
    [
        (None, "more", 2.0, 4.0, "not measured"),
        (1.0, "more", None, None, "told only"),
        (1.9, "more", 2.0, 4.0, "short"),
        (2.0, "more", 2.0, 4.0, "reached"),
        (4.0, "more", 2.0, 4.0, "aim reached"),
        (0.6, "less", 0.5, 0.1, "short"),
        (0.5, "less", 0.5, 0.1, "reached"),
        (0.1, "less", 0.5, 0.1, "aim reached"),
        (0.0, "less", 1.0, None, "reached"),
    ],
)
def test_a_figure_is_judged(
    value: float | None, better: Better, must: float | None, aim: float | None, state: str
) -> None:
    measure = Measure(name="x", value=value, unit="s", better=better, must=must, aim=aim)
    assert measure.state == state
    assert measure.to_json() == {
        "name": "x", "value": value, "unit": "s", "better": better, "must": must, "aim": aim, "state": state
    }  # fmt: skip

from __future__ import annotations

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.families import FAMILIES
from allaprima.paint.step_cache.setting import StepCacheSetting


@pytest.mark.parametrize(
    ("text", "threshold", "shown"),
    [
        ("first-block", 0.05, "first-block 0.05"),
        ("first-block:0.1", 0.1, "first-block 0.1"),
        ("first-block:0", 0.0, "first-block 0"),
    ],
)
def test_the_option_is_read(text: str, threshold: float, shown: str) -> None:
    setting = StepCacheSetting.parse(text)
    assert setting.threshold == threshold
    assert str(setting) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "teacache",
        "first-block:",
        "first-block:much",
        "first-block:nan",
        "first-block:1.5",
        "first-block:-1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="got --cache"):
        StepCacheSetting.parse(text)


def test_families_without_blocks_to_skip_are_refused() -> None:
    for family in ("sdxl", "vignette"):
        with pytest.raises(RequestError, match=f"of the family {family}, whose blocks it cannot skip"):
            StepCacheSetting().check("a base", FAMILIES[family].traits)
    for family in ("qwen-image", "flux2-klein", "z-image"):
        StepCacheSetting().check("a base", FAMILIES[family].traits)


def test_few_steps_bring_a_remark() -> None:
    setting = StepCacheSetting()
    assert setting.remarks(GenerationRequest(prompt="a cat", steps=9)) == ()
    (remark,) = setting.remarks(GenerationRequest(prompt="a cat", steps=8))
    assert remark.startswith("the step cache is not used for 8 steps")
    assert "1 step," in setting.remarks(GenerationRequest(prompt="a cat", steps=1))[0]

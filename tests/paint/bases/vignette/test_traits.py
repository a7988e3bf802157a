from __future__ import annotations

import pytest

from allaprima.core.errors import RequestError
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.bases.vignette.traits import TRAITS


def test_the_weights_that_ship_are_there() -> None:
    assert TRAITS.shipped_weights is not None
    assert (TRAITS.shipped_weights / "denoiser.safetensors").is_file()


def test_a_base_knows_no_schedule_that_its_traits_do_not_name() -> None:
    base = load_vignette()
    assert TRAITS.schedules == ()
    with pytest.raises(RequestError, match="got the schedule 'lcm'"):
        base.schedule(4, 256, 256, "lcm")

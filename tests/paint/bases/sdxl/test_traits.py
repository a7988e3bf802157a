from __future__ import annotations

from allaprima.paint.bases.sdxl.scheduling import SCHEDULES
from allaprima.paint.bases.sdxl.traits import TRAITS


def test_the_traits_name_the_schedules_that_a_base_knows() -> None:
    assert set(TRAITS.schedules) == set(SCHEDULES)

from __future__ import annotations

import pytest


@pytest.fixture(params=[False, True], ids=["pointers", "addresses kept"])
def keep(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)

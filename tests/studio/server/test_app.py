"""Whatever the description allows, and what it does not, is answered without a 5xx."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.studio.server.conftest import Serve

from allaprima.studio.server.settings import Caps, ServerSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok

FREE = ServerSettings(caps=Caps(writes_per_s=1e6, reads_per_s=1e6, steps=3))


@pytest.mark.parametrize("examples", [6, pytest.param(150, marks=pytest.mark.slow)])
def test_no_route_fails_whatever_it_is_sent(serve: Serve, examples: int) -> None:
    served = serve(FREE)
    schema = schemathesis.openapi.from_url(f"{served.url}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 20
    for operation in operations:
        _try(operation, examples)
    counters = served.studio.engine.stats().counters
    assert counters["failures"] == 0


def _try(operation: Any, examples: int) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        case.call_and_validate(checks=(not_a_server_error,), timeout=20)

    run()

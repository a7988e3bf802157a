from __future__ import annotations

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.retouch import MAX_OPERATIONS, Upscale, operations_from_json, operations_to_json


def test_operations_survive_json_in_their_order() -> None:
    operations = (Upscale(scale=2), Upscale(scale=1.5, upscaler="sharp"))
    assert operations_from_json(operations_to_json(operations)) == operations
    assert operations_from_json([]) == ()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("upscale", "expected a list of operations"),
        (["upscale"], "expected an operation, one of upscale"),
        ([{"operation": "melt"}], "expected an operation, one of upscale"),
        ([{"operation": "upscale", "speed": 2}], "unknown key 'speed'"),
        ([{"operation": "upscale", "name": "x"}], "unknown key 'name'"),
        ([{"operation": "upscale", "scale": 1}], "more than 1, at most 8"),
        ([{"operation": "upscale", "scale": float("nan")}], "more than 1, at most 8"),
        ([{"operation": "upscale", "scale": "2"}], "more than 1, at most 8"),
        ([{"operation": "upscale", "upscaler": ""}], "expected a name"),
        ([{"operation": "upscale", "upscaler": "a\n"}], "expected a name"),
        ([{"operation": "upscale"}] * (MAX_OPERATIONS + 1), f"at most {MAX_OPERATIONS}"),
    ],
)
def test_what_is_no_operation_is_refused(data: object, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        operations_from_json(data)

from __future__ import annotations

import json

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.retouch import (
    MAX_OPERATIONS,
    CutOut,
    Deblock,
    NewBackground,
    Operation,
    Repaint,
    Restyle,
    Upscale,
    operations_from_json,
    operations_to_json,
)


def test_operations_survive_json_in_their_order() -> None:
    operations: tuple[Operation, ...] = (
        CutOut(),
        CutOut(finder="sam", points=((1, 2.5), (3, 4)), box=(0, 0, 9, 9)),
        NewBackground(prompt="a beach", seed=3, subject=CutOut(finder="u2net")),
        Repaint(strength=0.4),
        Deblock(network="deblock.safetensors"),
        Restyle(style="flat", strength=0.5),
        Upscale(scale=2),
        Upscale(scale=1.5, upscaler="sharp"),
    )
    assert operations_from_json(json.loads(json.dumps(operations_to_json(operations)))) == operations
    assert operations_from_json([]) == ()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("upscale", "expected a list of operations"),
        (["upscale"], "expected an operation, one of cut-out, background"),
        ([{"operation": "melt"}], "expected an operation, one of cut-out, background"),
        ([{"operation": "upscale", "speed": 2}], "unknown key 'speed'"),
        ([{"operation": "upscale", "name": "x"}], "unknown key 'name'"),
        ([{"operation": "repaint", "strength": 0}], "more than 0, at most 1"),
        ([{"operation": "repaint", "strength": True}], "more than 0, at most 1"),
        ([{"operation": "upscale", "scale": 1}], "more than 1, at most 8"),
        ([{"operation": "upscale", "scale": float("nan")}], "more than 1, at most 8"),
        ([{"operation": "upscale", "scale": "2"}], "more than 1, at most 8"),
        ([{"operation": "upscale", "upscaler": ""}], "expected a name"),
        ([{"operation": "deblock", "network": " "}], "expected a name"),
        ([{"operation": "deblock"}], "got deblock without all it needs"),
        ([{"operation": "upscale", "upscaler": "a\n"}], "expected a name"),
        ([{"operation": "cut-out", "points": [[1]]}], "expected 2 numbers"),
        ([{"operation": "cut-out", "points": [[1, float("inf")]]}], "expected 2 numbers"),
        ([{"operation": "cut-out", "points": [[1, 2]] * 17}], "at most 16"),
        ([{"operation": "cut-out", "points": 3}], "at most 16"),
        ([{"operation": "cut-out", "box": [1, 2, 3, True]}], "expected 4 numbers"),
        ([{"operation": "background"}], "without all it needs"),
        ([{"operation": "background", "prompt": " "}], "the prompt is empty"),
        ([{"operation": "background", "prompt": "x", "seed": -1}], "seed"),
        ([{"operation": "background", "prompt": "x", "subject": {"speed": 2}}], "unknown key 'speed'"),
        ([{"operation": "background", "prompt": "x", "subject": 3}], "expected how the subject is found"),
        ([{"operation": "restyle"}], "without all it needs"),
        ([{"operation": "restyle", "style": "flat", "strength": 1.5}], "expected 0 to 1"),
        ([{"operation": "restyle", "style": "flat", "strength": True}], "expected 0 to 1"),
        ([{"operation": "upscale"}] * (MAX_OPERATIONS + 1), f"at most {MAX_OPERATIONS}"),
    ],
)
def test_what_is_no_operation_is_refused(data: object, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        operations_from_json(data)


def test_paths_are_not_told_to_strangers() -> None:
    assert CutOut(finder="/home/me/u2net.onnx").without_paths() == CutOut(finder="u2net.onnx")
    assert Deblock(network="/home/me/d.safetensors").without_paths() == Deblock(network="d.safetensors")
    assert Restyle(style="/home/me/starry.jpg").without_paths() == Restyle(style="starry.jpg")
    told = NewBackground(prompt="x", subject=CutOut(finder="/home/me/sam")).without_paths()
    assert told.subject.finder == "sam"

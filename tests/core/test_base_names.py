from __future__ import annotations

import pytest

from allaprima.core.base_names import shown_name
from allaprima.core.request import GenerationRequest


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("/home/alice/models/xl.safetensors", "xl"), ("/home/alice/models/xl/", "xl"), ("~/m/XL.SAFETENSORS", "XL"),
        ("./xl", "xl"), ("../alice/v1.5 final.safetensors", "v1.5 final"), ("C:\\Users\\alice\\xl.safetensors", "xl"),
        ("\\\\server\\alice\\xl", "xl"), ("/", "base"),
        ("/home/a/.cache/huggingface/hub/models--owner--my--xl/snapshots/c0ffee", "owner/my--xl"),
        ("vignette", "vignette"), ("Qwen/Qwen-Image", "Qwen/Qwen-Image"), ("sdxl/a.bin", "sdxl/a.bin"),
        ("owner/name@main", "owner/name@main"),
    ],
)  # fmt: skip
def test_no_way_to_a_base_is_in_its_name(spec: str, name: str) -> None:
    assert shown_name(spec) == name
    assert shown_name(name) == name
    request = GenerationRequest(prompt="cat", base=spec)
    assert request.base == name
    assert GenerationRequest.from_json(request.to_json()) == request

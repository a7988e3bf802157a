"""What OpenAI's clients send: models, and what is refused in OpenAI's shape."""

from __future__ import annotations

import openai
import pytest
from tests.studio.server.clients import openai_client
from tests.studio.server.conftest import Served


def test_openais_own_model_names_mean_the_first_base(served: Served) -> None:
    with openai_client(served) as client:
        client.images.generate(prompt="a cat", model="dall-e-3")
        with pytest.raises(openai.NotFoundError):
            client.images.generate(prompt="a cat", model="qwen")


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": "x" * 10_001}, "10,001 characters"),
    ({"prompt": "a cat", "size": "100000x10000"}, "width 100000"),
    ({"prompt": "a cat", "size": "4096x4096"}, "4096x4096 pixels"),
    ({"prompt": "a cat", "size": "64x64"}, "expected 256x256 or 128x64"),
    ({"prompt": "a cat", "size": "big"}, "expected width x height"),
    ({"prompt": "a cat", "n": 11}, "n: "),
    ({"prompt": "a cat", "steps": 1000}, "1000 steps"),
    ({"prompt": "a cat", "seed": 2**63}, "seed 9223372036854775808"),
    ({"prompt": "a cat", "seed": -1}, "seed -1"),
    ({"prompt": "a cat", "seed": 2**63 - 1, "n": 2}, "seed 9223372036854775808"),
    ({"prompt": "a cat", "background": "transparent"}, "background"),
    ({"prompt": "a cat", "colour": "red"}, "colour"),
    ({"prompt": "a cat", "loras": [{"name": "../../etc/passwd"}]}, "LoRA"),
    ({"prompt": "<lora:ink:1:2> a cat"}, "one weight"),
    ({"prompt": "a\x00cat"}, "control character"),
    ({}, "prompt"),
]


def test_what_cannot_be_painted_is_refused_in_openais_shape(served: Served) -> None:
    with served.client() as client:
        for body, says in REFUSED:
            answer = client.post("/v1/images/generations", json=body)
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert says in error["message"]
            assert error["type"] == "invalid_request_error"
            assert set(error) == {"message", "type", "param", "code", "id"}
    assert len(served.studio.gallery) == 0


def test_numbers_beyond_reason_and_broken_json_are_refused(served: Served) -> None:
    texts = [
        '{"prompt": "a cat", "seed": ' + "9" * 5000 + "}",
        '{"prompt": "a cat", "guidance": NaN}',
        '{"prompt": "a cat", "guidance": 1e999}',
        '{"prompt": ' + "[" * 100_000,
        '{"prompt": "a \\ud800 cat"}',
        '["a cat"]',
        "{",
    ]
    with served.client(content_type="application/json") as client:
        for text in texts:
            answer = client.post("/v1/images/generations", content=text)
            assert answer.status_code in {400, 413}, (text[:60], answer.text)
            assert "error" in answer.json()


BLAMED: list[tuple[dict[str, object], str]] = [
    ({"size": "64x64"}, "size"), ({"size": "banana"}, "size"), ({"size": "4096x4096"}, "size"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": "x" * 10_001}, "prompt"), ({"negative_prompt": "a\x00"}, "negative_prompt"),
    ({"steps": 151}, "steps"),
    ({"steps": 0}, "steps"), ({"loras": [{"name": "nope"}]}, "loras"), ({"loras": [{"name": "a:b"}]}, "loras"),
    ({"seed": -1}, "seed"), ({"guidance": 99}, "guidance"), ({"n": 11}, "n"), ({"schedule": ""}, "schedule"),
    ({"model": "none"}, "model"), ({"colour": "red"}, "colour"),
]  # fmt: skip


def test_the_field_that_is_to_blame_is_named(served: Served) -> None:
    with served.client() as client:
        for fields, param in BLAMED:
            answer = client.post("/v1/images/generations", json={"prompt": "a cat", **fields})
            error = answer.json()["error"]
            code = "model_not_found" if param == "model" else "invalid_value"
            assert (error["param"], error["code"]) == (param, code), error

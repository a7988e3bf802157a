"""Programs that ask the server for pictures, as tests need them."""

from __future__ import annotations

import json
from typing import Any

import openai
from tests.studio.server.conftest import Served

REQUEST = {"prompt": "a cat on a roof", "width": 128, "height": 64, "steps": 2, "guidance": 1.0}


def openai_client(served: Served, key: str = "none") -> openai.OpenAI:
    """Return OpenAI's own client."""
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, timeout=20)


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and data of server-sent events."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def paint(served: Served, **values: Any) -> dict[str, Any]:
    """Have a job painted and return its entry in the gallery."""
    with served.client() as client:
        answer = client.post("/api/jobs", json={"request": {**REQUEST, **values}})
    name, data = events_of(answer.text)[-1]
    assert name == "done", answer.text
    entry: dict[str, Any] = data["pictures"][0]
    return entry

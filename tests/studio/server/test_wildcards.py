"""Choices in the words of a prompt, over the routes and the live socket."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from tests.studio.server.clients import events_of
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.live_clients import dial, say

from allaprima.core.wildcard_folder import WildcardFolder
from allaprima.core.wildcards import resolve_words
from allaprima.studio.server.live_messages import unpack_frame

TEMPLATE = "a {red|blue|green|grey} __animal__"


@pytest.fixture
def with_wildcards(serve: Serve, tmp_path: Path) -> Served:
    served = serve()
    folder = tmp_path / "wildcards"
    folder.mkdir()
    (folder / "animal.txt").write_text("cat\nfox")
    served.studio.wildcards = WildcardFolder(folder)
    return served


def said(file: bytes) -> str:
    with Image.open(io.BytesIO(file)) as image:
        return str(image.info["parameters"])


def test_each_picture_says_its_own_words(with_wildcards: Served) -> None:
    find = with_wildcards.studio.wildcards.find
    words = [resolve_words(TEMPLATE, seed, find) for seed in (3, 4, 5)]
    body = {"prompt": TEMPLATE, "seed": 3, "steps": 1}
    with with_wildcards.client() as client:
        a1111 = client.post("/sdapi/v1/txt2img", json={**body, "n_iter": 3}).json()
        ours = client.post("/v1/images/generations", json={**body, "n": 3}).json()
        stream = client.post("/v1/images/generations", json={**body, "stream": True}).text
        job = client.post("/api/jobs", json={"request": body, "count": 3}).text
        plain = client.post("/v1/images/generations", json={**body, "prompt": "a cat"}).json()
    assert json.loads(a1111["info"])["all_prompts"] == words
    assert [one["revised_prompt"] for one in ours["data"]] == words
    assert "revised_prompt" not in plain["data"][0]
    assert events_of(stream)[-1][1]["revised_prompt"] == words[0]
    kept = events_of(job)[-1][1]["pictures"]
    assert [one["request"]["prompt"] for one in kept] == words
    assert {one["request"]["template"] for one in kept} == {TEMPLATE}
    for text, image in zip(words, a1111["images"], strict=True):
        infotext = said(base64.b64decode(image))
        assert infotext.startswith(f"{text}\n")
        assert f"Template: {TEMPLATE}" in infotext


def test_a_live_frame_shows_the_words_of_its_seed(with_wildcards: Served) -> None:
    find = with_wildcards.studio.wildcards.find
    with dial(with_wildcards) as socket:
        for sequence, seed in enumerate((3, 3, 4), 1):
            say(socket, sequence, TEMPLATE, seed=seed, steps=1)
            header, jpeg = unpack_frame(socket.recv(decode=False))
            assert header["prompt"] == TEMPLATE
            with Image.open(io.BytesIO(jpeg)) as image:
                text = image.getexif().get_ifd(0x8769)[0x9286][8:].decode("utf-16-be")
            assert text.startswith(resolve_words(TEMPLATE, seed, find))
            assert f"Template: {TEMPLATE}" in text

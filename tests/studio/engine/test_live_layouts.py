"""Boxes that move in live sessions: who shares a pass, what is a new picture, and that nothing is mixed up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.studio.engine.watched import Bench, Client
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.layout import LAYERS, Box, Layout, PaintedLayout, Thing
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter

LEFT = (Thing(kind="cat", box=Box(0.0, 0.2, 0.5, 1.0)),)
RIGHT = (Thing(kind="cat", box=Box(0.5, 0.2, 1.0, 1.0)),)


def with_sun(layout: Layout, prompt: str, seed: int) -> PaintedLayout:
    """Complete a layout by a sun whose place hangs on the seed."""
    del prompt
    left = seed % 5 / 10
    sun = Thing(kind="sun", box=Box(left, 0.0, left + 0.3, 0.3), layer="behind")
    return PaintedLayout(things=(sun, *layout), whole=frozenset(LAYERS))


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Painter]:
    folder: Path = write_tiny_vignette(tmp_path_factory.mktemp("reader") / "weights", reads_layout=True)
    with Painter.load(folder=folder, device="cpu", precision="fp32") as painter:
        yield replace(painter, layout_completion=None)


def final(client: Client) -> Any:
    return [frame for frame in client.frames if frame.final][-1]


def painted(painter: Painter, layout: Layout, **settings: Any) -> bytes:
    request = GenerationRequest(prompt="cat", steps=2, guidance=1.0, layout=layout, **settings)
    return painter.paint(request).encode("jpeg")


def test_a_frame_is_the_painters_picture_with_its_layout(painter: Painter) -> None:
    bench = Bench(painter=painter)
    client = bench.client()
    for layout in (LEFT, RIGHT, (), LEFT):
        client.ask("cat", steps=2, layout=layout)
        bench.run()
        frame = final(client)
        assert frame.jpeg == painted(painter, layout)
        assert not frame.repeated
        assert frame.layout == (PaintedLayout(things=layout) if layout else None)
    client.ask("cat", steps=2, layout=LEFT)
    bench.run()
    assert final(client).repeated


def test_sessions_with_different_layouts_share_a_pass(painter: Painter) -> None:
    bench = Bench(painter=painter)
    clients = bench.clients(3)
    for client, layout in zip(clients, (LEFT, RIGHT, ()), strict=True):
        client.ask("cat", steps=1, layout=layout)
    bench.run()
    assert bench.stats.counters["passes"] == 1
    assert bench.stats.counters["rows"] == 3
    assert len({client.frames[0].jpeg for client in clients}) == 3
    assert [client.frames[0].layout for client in clients] == [
        PaintedLayout(things=LEFT), PaintedLayout(things=RIGHT), None,
    ]  # fmt: skip


def test_a_box_that_moves_leaves_words_and_their_encoding_alone(painter: Painter) -> None:
    bench = Bench(painter=painter)
    client = bench.client()
    client.ask("cat by a hat", steps=1, layout=LEFT)
    bench.run()
    misses = painter.prompts.misses
    client.ask("cat by a hat", steps=1, layout=RIGHT)
    bench.run()
    assert painter.prompts.misses == misses
    assert all(prompt.text.layout is None for prompt in painter.prompts.encode(["cat by a hat"]))
    first, second = client.frames
    assert first.jpeg != second.jpeg


def test_what_is_left_open_stays_where_it_is_while_words_change(painter: Painter) -> None:
    completing = replace(painter, layout_completion=with_sun)
    bench = Bench(painter=completing)
    client = bench.client()
    for words in ("cat", "dog"):
        client.ask(words, steps=1, seed=3)
        bench.run()
    sun = with_sun((), "", 3)
    assert [frame.layout for frame in client.frames] == [sun, sun]
    client.ask("dog", steps=1, seed=3, complete_layout=False)
    bench.run()
    assert client.frames[-1].layout is None
    assert client.frames[-1].jpeg != client.frames[-2].jpeg


def test_guidance_and_finer_frames_keep_to_the_layout(painter: Painter) -> None:
    bench = Bench(painter=painter)
    client = bench.client()
    settings: dict[str, Any] = {"guidance": 3.0, "negative_prompt": "rain", "seed": 4}
    client.ask("cat", steps=2, layout=LEFT, **settings)
    bench.run()
    request = GenerationRequest(prompt="cat", steps=2, layout=LEFT, **settings)
    assert final(client).jpeg == painter.paint(request).encode("jpeg")
    assert torch.is_inference_mode_enabled() is False

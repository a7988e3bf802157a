"""Live painting on a base with two decoders: frames that are soon replaced are coarse, the one that rests is fine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.studio.engine.watched import Bench
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.request import GenerationRequest, Quality
from allaprima.paint.painter import Painter


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("two decoders"), detail_width=8)


def bench_of(weights: Path) -> tuple[Bench, Painter]:
    painter = Painter.load(folder=weights, device="cpu")
    return Bench(painter=painter), painter


def painted(painter: Painter, steps: int, quality: Quality) -> bytes:
    request = GenerationRequest(prompt="a cat", steps=steps, guidance=1.0, quality=quality)
    return painter.paint(request).encode("jpeg")


def test_frames_are_coarse_until_the_last_and_each_is_its_requests_picture(weights: Path) -> None:
    bench, painter = bench_of(weights)
    client = bench.client()
    client.ask("a cat", steps=4)
    bench.run()
    asked: list[tuple[int, Quality]] = [(1, "medium"), (2, "medium"), (4, "high")]
    assert [frame.jpeg for frame in client.frames] == [painted(painter, *one) for one in asked]
    assert [frame.final for frame in client.frames] == [False, False, True]


def test_one_step_is_shown_at_once_and_fine_at_a_rest(weights: Path) -> None:
    bench, painter = bench_of(weights)
    client = bench.client()
    client.ask("a cat", steps=1)
    bench.run()
    assert [(frame.steps, frame.final) for frame in client.frames] == [(1, False), (1, True)]
    assert client.frames[-1].jpeg == painted(painter, 1, "high")
    assert bench.stats.counters["predictions"] == 1  # the fine frame begins with what the coarse one knew


def test_medium_quality_stays_coarse(weights: Path) -> None:
    bench, painter = bench_of(weights)
    client = bench.client()
    client.ask("a cat", steps=2, quality="medium")
    bench.run()
    assert client.steps == [(1, 1), (1, 2)]
    assert client.frames[-1].jpeg == painted(painter, 2, "medium")


def test_another_quality_is_seen(weights: Path) -> None:
    bench, painter = bench_of(weights)
    client = bench.client()
    for quality in ("medium", "high", "medium"):
        client.ask("a cat", steps=2, quality=quality)
        bench.run()
        assert client.frames[-1].final
        assert client.frames[-1].jpeg == painted(painter, 2, quality)
    answer = next(frame for frame in client.frames if frame.sequence == 2)
    assert answer.repeated
    assert not answer.final

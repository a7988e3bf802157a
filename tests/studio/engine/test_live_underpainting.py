"""Live frames over a picture: begun at the level of its strength, followed as quickly as words, painted once."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import pytest
import torch
from PIL import Image
from tests.studio.engine.watched import Bench, WatchedBase
from tests.tiny import SteadyBase

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.picture_encoding import STRENGTH
from allaprima.core.picture_files import read_infotext
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.messages import LivePrompt, LiveSettings


def grey(level: int, strength: float = 0.5) -> InitImage:
    return InitImage(width=256, height=256, rgb=bytes([level]) * 3 * 256**2, strength=strength)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_every_frame_is_the_whole_picture_of_as_many_steps(strength: float) -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", grey(40, strength), steps=4)
    bench.run()
    assert client.steps == [(1, 1), (1, 2), (1, 4)]
    for frame in client.frames:
        request = GenerationRequest(prompt="cat", steps=frame.steps, guidance=1.0)
        over = replace(grey(40, strength), full_steps=True)
        events = Painter(base=WatchedBase()).events(request, init_image=over)
        *_, finished = events
        assert frame.jpeg == finished.pictures[0].encode("jpeg")  # type: ignore[union-attr]


def test_one_step_shows_the_picture_below() -> None:
    bench = Bench()
    client = bench.client()
    for number, level in enumerate((0, 255), start=1):
        client.ask("cat", grey(level), steps=1)
        bench.run()
        assert client.frames[-1].sequence == number
    dark, bright = (brightness(frame.jpeg) for frame in client.frames)
    assert bright - dark > 50


def test_frames_say_what_they_were_painted_over() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=1)
    bench.run()
    client.ask("cat", grey(40, 0.6), steps=1)
    bench.run()
    plain, over = client.frames
    assert (plain.strength, plain.masked) == (None, False)
    assert (over.strength, over.masked) == (0.6, False)
    assert f"{STRENGTH}: 0.6" in (read_infotext(io.BytesIO(over.jpeg)) or "")


def test_the_same_picture_costs_nothing_and_another_is_painted() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", grey(40), steps=1)
    bench.run()
    with bench.unchanged_work():
        client.ask("cat", grey(40), steps=1)
        bench.run()
    assert client.frames[-1].repeated
    for other in (grey(41), grey(40, 0.51), None):
        client.ask("cat", other, steps=1)
        bench.run()
        assert not client.frames[-1].repeated


def test_a_picture_is_encoded_once_however_the_words_change() -> None:
    bench = Bench()
    for client in bench.clients(2):
        for word in ("cat", "dog", "ant"):
            client.ask(word, grey(40), steps=4)
            bench.run()
    assert bench.base.encodes == 1
    client.ask("cat", grey(40, 0.9), steps=1)
    bench.run()
    assert bench.base.encodes == 1
    client.ask("cat", grey(41), steps=1)
    bench.run()
    assert bench.base.encodes == 2


def test_a_first_look_at_a_new_picture_is_begun_with_a_sketch_and_finer_frames_are_not() -> None:
    @dataclass
    class SketchingBase(WatchedBase):
        sketches: int = 0

        def sketch(self, pixels: torch.Tensor) -> torch.Tensor:
            self.sketches += 1
            return SteadyBase.encode(self, pixels) + 4.0  # brighter, to be told apart

    benches = (Bench(base := SketchingBase()), Bench())
    clients = [bench.client() for bench in benches]
    for each, client in zip(benches, clients, strict=True):
        client.ask("cat", grey(40), steps=4)
        each.run()
        client.ask("dog", grey(40), steps=4)  # encoded by now
        each.run()
        client.ask("cat", grey(50), steps=1)  # nothing finer follows
        each.run()
    sketched, exact = (client.frames for client in clients)
    assert brightness(sketched[0].jpeg) > brightness(exact[0].jpeg) + 5
    assert [frame.jpeg for frame in sketched[1:]] == [frame.jpeg for frame in exact[1:]]
    assert (base.sketches, base.encodes) == (1, 2)


def test_what_a_mask_keeps_is_seen_as_it_is() -> None:
    bench = Bench()
    client = bench.client()
    rgb = bytes(range(256)) * 3 * 256
    mask = bytes(256 * 128) + b"\xff" * 256 * 128
    over = InitImage(width=256, height=256, rgb=rgb, strength=0.8, mask=mask)
    for steps in (1, 4):
        client.ask("cat", over, steps=steps)
        bench.run()
    assert all(frame.masked for frame in client.frames)
    shown = [state.shown for state in bench.live.sessions.values()]
    assert shown[0] is not None
    kept = 3 * 256 * 128
    assert shown[0].picture.rgb[:kept] == rgb[:kept]
    assert shown[0].picture.rgb[kept:] != rgb[kept:]


def test_sessions_over_one_picture_share_passes_and_others_do_not() -> None:
    bench = Bench()
    several = bench.clients(4)
    for client, level in zip(several, (10, 10, 20, 20), strict=True):
        client.ask("cat", grey(level), steps=1)
    bench.run()
    assert sorted(bench.base.passes) == [2, 2]
    assert len({client.frames[0].jpeg for client in several[:2]}) == 1
    assert several[0].frames[0].jpeg != several[2].frames[0].jpeg


def test_the_newest_picture_wins() -> None:
    bench = Bench()
    client = bench.client()
    for level in range(60):
        client.ask("cat", grey(level), steps=1)
    bench.run()
    assert client.steps == [(60, 1)]
    bench.base.during_predict = [lambda: client.ask("cat", grey(7), steps=1)]
    client.ask("cat", grey(6), steps=1)
    bench.run()
    assert client.steps[-1] == (62, 1)


def test_a_first_prediction_serves_finer_frames_over_the_same_picture_only() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", grey(40), steps=4)
    bench.run()
    assert len(bench.base.passes) == 1 + 1 + 3
    client.ask("cat", grey(41), steps=1)
    bench.run()
    assert len(bench.base.passes) == 6


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(RequestError, match="256x256 to paint over; expected 128x64"):
        LivePrompt(sequence=1, prompt="cat", settings=LiveSettings(width=128, height=64), init_image=grey(1))


def brightness(jpeg: bytes) -> float:
    with Image.open(io.BytesIO(jpeg)) as image:
        levels = image.convert("L").tobytes()
    return sum(levels) / len(levels)

from __future__ import annotations

import itertools

from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.messages import Done


def test_a_live_first_frame_comes_between_two_steps_of_a_job() -> None:
    bench = Bench()
    client = bench.client()
    _, updates = bench.submit(GenerationRequest(prompt="cat", steps=50))
    bench.turn(5)
    client.ask("dog", steps=1)
    bench.turn()
    assert client.steps == [(1, 1)]
    bench.run()
    done = updates[-1]
    assert isinstance(done, Done)
    alone = Painter(base=WatchedBase()).paint(GenerationRequest(prompt="cat", steps=50))
    assert done.pictures == (alone,)


def test_neither_live_painting_nor_jobs_starve() -> None:
    bench = Bench()
    client = bench.client()
    _, updates = bench.submit(GenerationRequest(prompt="cat", steps=20, guidance=1.0))
    frames_at, progress_at = [], []
    for turn in range(150):
        client.ask(f"dog {turn}", steps=1)
        before = len(client.frames), len(updates)
        bench.turn()
        if len(client.frames) > before[0]:
            frames_at.append(turn)
        if len(updates) > before[1]:
            progress_at.append(turn)
    assert isinstance(updates[-1], Done)
    gaps = [after - before for before, after in itertools.pairwise(frames_at)]
    assert max(gaps) <= 2
    gaps = [after - before for before, after in itertools.pairwise(progress_at)]
    assert max(gaps) <= 6
    assert len(frames_at) > 3 * len([at for at in progress_at if at])

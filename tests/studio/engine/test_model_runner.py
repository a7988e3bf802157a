from __future__ import annotations

from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import Done

CAT = GenerationRequest(prompt="cat", steps=3, seed=7)
DOG = GenerationRequest(prompt="dog", steps=2, seed=8)


def test_guidance_matters_only_where_it_leads_away_from_something() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=1, negative_prompt="Cat ", guidance=2.0)
    bench.run()
    passes = list(bench.base.passes)
    assert passes == [1]  # prompt and negative prompt are one to the model
    client.ask("cat", steps=1, negative_prompt="Cat ", guidance=7.0)
    bench.run()
    assert client.frames[-1].repeated
    assert bench.base.passes == passes
    client.ask("cat", steps=1, negative_prompt="dog", guidance=2.0)
    bench.run()
    assert bench.base.passes == [1, 2]


def test_prompts_are_encoded_once() -> None:
    bench = Bench()
    client = bench.client()
    for text in ("cat", "dog", "cat", "dog"):
        client.ask(text, steps=1)
        bench.run()
    assert bench.base.encoded == [["cat"], ["dog"]]
    assert bench.stats.counters["texts_known"] == 2


def test_memory_is_bounded() -> None:
    painter = Painter(base=WatchedBase(), prompt_cache_bytes=1000)
    bench = Bench(limits=Limits(sessions=8), painter=painter)
    client = bench.client()
    for number in range(60):
        client.ask(f"cat {number:03}", steps=2, width=128, height=64)
        bench.turn(2)
    for _ in range(50):
        bench.client().session.close()
        bench.turn()
    assert bench.worker._live is not None
    assert len(bench.worker._live.sessions) == 1
    assert len(bench.worker._sessions) <= 8
    runner = bench.worker._runner
    assert runner is not None
    assert runner.painter("vignette").prompts.num_bytes <= 1000


def test_bases_are_loaded_when_they_are_asked_for_and_dropped_for_others() -> None:
    bench = Bench(limits=Limits(bases=1))
    _, updates = bench.submit(CAT)
    bench.run()
    assert bench.loads == ["vignette"]
    bench.base.name = "other"
    bench.submit(GenerationRequest(prompt="cat", steps=1, base="other"))
    bench.run()
    bench.base.name = "vignette"
    bench.submit(CAT)
    bench.run()
    assert bench.loads == ["vignette", "other", "vignette"]
    assert isinstance(updates[-1], Done)

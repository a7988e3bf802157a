"""Whole pictures, turn by turn."""

from __future__ import annotations

import pytest
from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.errors import BusyError
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import Cancelled, Done, Failed, JobUpdate, Progress, Queued

CAT = GenerationRequest(prompt="cat", steps=3, seed=7)
DOG = GenerationRequest(prompt="dog", steps=2, seed=8)


def test_a_job_is_queued_makes_progress_and_is_done() -> None:
    bench = Bench()
    job, updates = bench.submit(CAT, DOG)
    bench.run()
    steps = [(u.picture, u.step, u.total) for u in updates if isinstance(u, Progress)]
    assert updates[0] == Queued(position=0)
    assert steps == [(1, 0, 3), (1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 0, 2), (2, 1, 2), (2, 2, 2)]
    assert all(u.pictures == 2 and u.preview is None for u in updates if isinstance(u, Progress))
    done = updates[-1]
    assert isinstance(done, Done)
    assert list(done.pictures) == Painter(base=WatchedBase()).paint_batch([CAT, DOG])
    assert set(done.timings_ms) == {"queue", "total"}
    assert job.wait(0)
    assert bench.stats.counters["pictures"] == 2


def test_previews_are_jpegs() -> None:
    bench = Bench()
    _, updates = bench.submit(CAT, previews=True)
    bench.run()
    previews = [u.preview for u in updates if isinstance(u, Progress) and u.step]
    assert all(preview and preview.startswith(b"\xff\xd8") for preview in previews)
    assert len(previews) == 3


def test_positions_are_told_when_they_change() -> None:
    bench = Bench()
    jobs = [bench.submit(CAT, owner=str(number)) for number in range(3)]
    bench.turn()
    assert [updates[0] for _, updates in jobs] == [Queued(position=n) for n in range(3)]
    bench.turn()
    assert jobs[2][1][-1] == Queued(position=1)
    assert jobs[0][0].position is None
    jobs[1][0].cancel()
    bench.turn()
    assert jobs[1][1][-1] == Cancelled()
    assert jobs[2][1][-1] == Queued(position=0)
    bench.run()
    assert [type(updates[-1]) for _, updates in jobs] == [Done, Cancelled, Done]


def test_cancelling_stops_before_the_next_step() -> None:
    bench = Bench()
    job, updates = bench.submit(GenerationRequest(prompt="cat", steps=100))
    bench.turn(4)
    predicted = len(bench.base.passes)
    job.cancel()
    job.cancel()
    bench.run()
    assert len(bench.base.passes) == predicted == 3
    assert updates[-1] == Cancelled()
    assert [type(u) for u in updates].count(Cancelled) == 1
    assert bench.stats.jobs_running == 0


def test_a_job_that_cannot_be_painted_says_why_and_the_next_is_painted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    _, wrong = bench.submit(GenerationRequest(prompt="cat", width=512))
    _, broken = bench.submit(GenerationRequest(prompt="unreadable"))
    _, good = bench.submit(DOG)
    bench.run()
    failed = wrong[-1]
    assert isinstance(failed, Failed)
    assert failed.at_fault
    assert failed.message == "got size 512x256; expected 256x256 or 128x64"
    failed = broken[-1]
    assert isinstance(failed, Failed)
    assert not failed.at_fault
    assert "secret" not in failed.message
    assert failed.id in caplog.text
    assert isinstance(good[-1], Done)


def test_a_callback_that_raises_cancels_its_own_job(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def refuse(_: JobUpdate) -> None:
        raise ConnectionError("the client is gone")

    job, _ = bench.submit(CAT, on_update=refuse)
    _, good = bench.submit(DOG)
    bench.run()
    assert job.wait(0)
    assert isinstance(good[-1], Done)
    assert "is gone" in caplog.text


def test_a_full_studio_says_so() -> None:
    bench = Bench(limits=Limits(jobs=1, sessions=1))
    bench.submit(CAT)
    with pytest.raises(BusyError, match="try again later"):
        bench.submit(CAT)
    client = bench.client()
    with pytest.raises(BusyError, match="1 live sessions are open"):
        bench.client()
    client.session.close()
    bench.client()


def test_skip_leaves_out_the_picture_under_way_and_goes_on() -> None:
    bench = Bench()
    job, updates = bench.submit(CAT, DOG, CAT)
    while not any(isinstance(update, Progress) and update.picture == 2 for update in updates):
        bench.turn()
    job.skip()
    bench.run()
    done = updates[-1]
    assert isinstance(done, Done)
    assert [picture.request for picture in done.pictures] == [CAT, CAT]
    assert [update.picture for update in updates if isinstance(update, Progress)][-1] == 3
    assert job.wait(0)


def test_skip_of_the_last_picture_ends_the_job() -> None:
    bench = Bench()
    job, updates = bench.submit(CAT)
    bench.turn(3)
    job.skip()
    bench.run()
    assert updates[-1] == Done(pictures=(), timings_ms=updates[-1].timings_ms)  # type: ignore[union-attr]
    assert bench.stats.jobs_running == 0

"""A cluster as a studio uses it: the doors of one engine, and nothing lost when a replica is."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from PIL import Image
from tests.studio.cluster.replicas import Asked, SlowBase, Typist, gathered, requests, slow_plan, wait_for

from allaprima.core.errors import BusyError, RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.request import LoraUse
from allaprima.core.retouch import Upscale
from allaprima.core.retouched import RetouchedPicture
from allaprima.paint.painter import Painter
from allaprima.studio.cluster.cluster import Cluster
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    JobUpdate,
    Painted,
    Progress,
    Queued,
    Retouched,
    RetouchOrder,
)


def grey(value: int = 90) -> InitImage:
    return InitImage(width=128, height=64, rgb=bytes([value]) * (3 * 128 * 64), strength=0.5)


def test_a_job_is_told_and_painted_as_by_an_engine() -> None:
    with gathered(2) as group:
        asked = Asked()
        job = group.cluster.submit(requests(3), asked.hear, previews=True)
        done = asked.end()
        assert job.wait(10)
        assert isinstance(done, Done)
        expected = [Painter(base=SlowBase()).paint(request) for request in requests(3)]
        assert list(done.pictures) == expected
        assert [update.pictures for update in asked.of(Painted)] == [(picture,) for picture in expected]
        progress = asked.of(Progress)
        assert [(one.picture, one.pictures) for one in progress if one.step == 0] == [(1, 3), (2, 3), (3, 3)]
        assert all(one.preview for one in progress if one.step)
        assert set(done.timings_ms) == {"queue", "total"}


def test_what_a_replica_knows_of_its_bases_is_known_to_the_cluster() -> None:
    with gathered(0) as group:
        assert group.cluster.is_loading
        assert group.cluster.defaults("vignette") is None
        loaded = threading.Event()
        group.cluster.when_loaded(loaded.set)
        engine = group.add().replica.engine
        assert loaded.wait(120)
        wait_for(lambda: not group.cluster.is_loading)
        assert group.cluster.defaults("vignette") == SlowBase().defaults
        assert group.cluster.reads_layout("vignette") is engine.reads_layout("vignette")


def test_jobs_share_the_replicas_and_the_others_know_their_position() -> None:
    with gathered(0) as group:
        asked = [Asked() for _ in range(4)]
        for one in asked:
            group.cluster.submit(requests(2), one.hear)
        wait_for(lambda: [one.of(Queued)[-1:] for one in asked] == [[Queued(position=n)] for n in range(4)])
        replicas = [group.add(held=True) for _ in range(2)]
        wait_for(lambda: group.cluster.stats().jobs_running == 2)
        wait_for(lambda: asked[3].of(Queued)[-1] == Queued(position=1))
        for replica in replicas:
            replica.base.held.clear()
        assert all(isinstance(one.end(), Done) for one in asked)
        assert all(replica.base.passes for replica in replicas)
        wait_for(lambda: group.cluster.stats().counters["jobs_done"] == 4)


def test_what_a_lost_replica_had_begun_is_finished_by_another_and_no_picture_comes_twice() -> None:
    with gathered(1, pace_s=0.01) as group:
        asked = Asked()
        group.cluster.submit(requests(6), asked.hear)
        wait_for(lambda: len(asked.of(Painted)) >= 2)
        group.replicas[0].die()
        group.add(pace_s=0.0)
        done = asked.end()
        assert isinstance(done, Done)
        assert list(done.pictures) == [Painter(base=SlowBase()).paint(request) for request in requests(6)]
        assert [one.pictures[0].request.seed for one in asked.of(Painted)] == [0, 1, 2, 3, 4, 5]
        assert {one.pictures for one in asked.of(Progress)} == {6}
        assert asked.of(Progress)[-1].picture == 6


def test_a_job_that_every_replica_dies_of_is_given_up() -> None:
    with gathered(1, pace_s=0.05) as group:
        asked = Asked()
        group.cluster.submit(requests(20), asked.hear)
        for number in range(3):
            wait_for(lambda: group.cluster.stats().jobs_running == 1)
            group.replicas[number].die()
            if number < 2:
                wait_for(lambda: group.cluster.stats().replicas == 0)
                group.add(pace_s=0.05)
        failed = asked.end()
        assert isinstance(failed, Failed)
        assert failed.id in failed.message
        assert not failed.at_fault


def test_cancelling_and_skipping_reach_the_replica() -> None:
    with gathered(1) as group:
        base = group.replicas[0].base
        base.held.set()
        asked, waiting = Asked(), Asked()
        job = group.cluster.submit(requests(3), asked.hear)
        wait_for(lambda: bool(asked.of(Progress)))
        later = group.cluster.submit(requests(1), waiting.hear)
        later.cancel()
        assert isinstance(waiting.end(), Cancelled)
        job.skip()
        time.sleep(0.1)
        base.held.clear()
        done = asked.end()
        assert isinstance(done, Done)
        assert [picture.request.seed for picture in done.pictures] == [1, 2]
        base.held.set()
        stopped = Asked()
        job = group.cluster.submit(requests(3), stopped.hear)
        wait_for(lambda: bool(stopped.of(Progress)))
        job.cancel()
        time.sleep(0.1)
        base.held.clear()
        assert isinstance(stopped.end(), Cancelled)


@pytest.mark.weights
def test_a_picture_is_retouched() -> None:
    with gathered(1) as group:
        asked = Asked()
        picture = RetouchedPicture(image=Image.new("RGB", (32, 32), "red"))
        group.cluster.retouch(RetouchOrder(picture=picture, operations=(Upscale(scale=2),)), asked.hear)
        end = asked.end()
        assert isinstance(end, Retouched), end
        assert end.picture.image.size == (64, 64)


def test_what_cannot_be_painted_fails_with_its_reason() -> None:
    with gathered(1) as group:
        asked = Asked()
        group.cluster.submit(requests(1, loras=(LoraUse(name="nowhere"),)), asked.hear)
        failed = asked.end()
        assert isinstance(failed, Failed)
        assert failed.at_fault
        assert failed.blamed == "loras"
        for wrong in ([], requests(65)):
            with pytest.raises(RequestError, match="expected 1 to 64"):
                group.cluster.submit(wrong, asked.hear)
        picture = RetouchedPicture(image=Image.new("RGB", (32, 32)))
        with pytest.raises(RequestError, match="nothing to do"):
            group.cluster.retouch(RetouchOrder(picture=picture, operations=()), asked.hear)


def test_there_is_room_for_so_many_jobs_and_sessions() -> None:
    with gathered(1, limits=Limits(jobs=2, sessions=1)) as group:
        group.replicas[0].base.held.set()
        first = Asked()
        group.cluster.submit(requests(1), first.hear)
        wait_for(lambda: bool(first.of(Progress)))
        for _ in range(2):
            group.cluster.submit(requests(1), Asked().hear)
        with pytest.raises(BusyError, match="2 jobs wait"):
            group.cluster.submit(requests(1), Asked().hear)
        session = group.cluster.open_live(lambda _: None)
        with pytest.raises(BusyError, match="1 live sessions are open"):
            group.cluster.open_live(lambda _: None)
        session.close()
        group.cluster.open_live(lambda _: None).close()


def test_a_session_stays_with_its_replica_and_frames_are_counted_without_gaps() -> None:
    with gathered(2) as group:
        typists = [Typist.open(group.cluster) for _ in range(4)]
        for word in ("cat", "dog", "elk"):
            for typist in typists:
                frame = typist.see(f"a {word}", steps=4)
                assert frame.prompt == f"a {word}"
        wait_for(lambda: all(typist.frames[-1].final for typist in typists))
        for typist in typists:
            assert [frame.frame for frame in typist.frames] == list(range(1, len(typist.frames) + 1))
        snapshots = [replica.replica.engine.stats() for replica in group.replicas]
        assert [snapshot.sessions for snapshot in snapshots] == [2, 2]
        assert group.cluster.stats().sessions == 4
        for typist in typists:
            typist.session.close()
        wait_for(lambda: not any(replica.replica.engine.stats().sessions for replica in group.replicas))


def test_the_sessions_of_a_lost_replica_go_on_at_another() -> None:
    with gathered(2) as group:
        typists = [Typist.open(group.cluster) for _ in range(6)]
        for typist in typists:
            typist.see("a cat", over=grey())
        before = group.replicas[1].replica.engine.stats().sessions
        assert before == 3
        group.replicas[0].base.held.set()
        sequences = [typist.type("a dog", over=grey()) for typist in typists]
        group.replicas[0].die()
        for typist, sequence in zip(typists, sequences, strict=True):
            assert typist.frame(sequence).strength == 0.5  # the picture below it has come along
        assert group.replicas[1].replica.engine.stats().sessions == 6
        for typist in typists:
            assert [frame.frame for frame in typist.frames] == list(range(1, len(typist.frames) + 1))


def test_sessions_without_any_replica_go_on_when_there_is_one() -> None:
    with gathered(1) as group:
        typist = Typist.open(group.cluster)
        typist.see("a cat")
        group.replicas[0].die()
        wait_for(lambda: group.cluster.stats().replicas == 0)
        sequence = typist.type("a dog")
        group.add()
        assert typist.frame(sequence).prompt == "a dog"


def test_a_replica_that_leaves_finishes_its_job_and_gets_nothing_new() -> None:
    with gathered(2) as group:
        leaver, stayer = group.replicas
        leaver.base.held.set()
        stayer.base.held.set()
        asked = [Asked(), Asked()]
        for one in asked:
            group.cluster.submit(requests(2), one.hear)
        wait_for(lambda: all(one.of(Progress) for one in asked))
        stayer.base.held.clear()
        wait_for(lambda: group.cluster.stats().jobs_running == 1)
        leaver.replica.leave()
        typist = Typist.open(group.cluster)
        assert typist.see("a cat").prompt == "a cat"
        leaver.base.held.clear()
        assert all(isinstance(one.end(), Done) for one in asked)
        wait_for(lambda: not leaver.thread.is_alive())
        assert stayer.replica.engine.alive


def test_a_picture_below_a_session_is_sent_once() -> None:
    with gathered(1) as group:
        typist = Typist.open(group.cluster)
        typist.see("a cat", over=grey())
        typist.see("a dog", over=grey())
        kept = group.replicas[0].replica._sessions[typist.session.number].last
        assert kept is not None
        first = kept.init_image
        typist.see("an elk", over=grey())
        again = group.replicas[0].replica._sessions[typist.session.number].last
        assert again is not None
        assert again.init_image is first
        assert typist.see("an owl", over=grey(200)).strength == 0.5
        assert typist.see("an owl").strength is None


def test_prompts_that_fail_or_say_nothing_are_answered_as_by_an_engine() -> None:
    with gathered(1) as group:
        typist = Typist.open(group.cluster)
        typist.type("a cat", loras=(LoraUse(name="nowhere"),))
        wait_for(lambda: bool(typist.failures))
        typist.type(" ")
        assert typist.see("a cat").frame == 1
        with pytest.raises(RequestError, match="expected vignette"):
            typist.type("a cat", base="another")


def test_a_callback_that_raises_ends_its_own_job_or_session_alone() -> None:
    def refuse(update: object) -> None:
        raise RuntimeError(f"no {update}")

    with gathered(1) as group:
        job = group.cluster.submit(requests(2), refuse)
        assert job.wait(60)
        session = group.cluster.open_live(refuse)
        typist = Typist.open(group.cluster)
        typist.session, other = session, typist.session
        typist.type("a cat")
        wait_for(lambda: session.closed)
        typist.session = other
        assert typist.see("a dog").prompt == "a dog"


def test_closing_cancels_what_is_left() -> None:
    with gathered(1) as group:
        group.replicas[0].base.held.set()
        asked = [Asked(), Asked()]
        for one in asked:
            group.cluster.submit(requests(2), one.hear)
        session = group.cluster.open_live(lambda _: None)
        wait_for(lambda: bool(asked[0].of(Progress)))
        closing = threading.Thread(target=group.cluster.close)
        closing.start()
        assert [type(one.end()) for one in asked] == [Cancelled, Cancelled]
        closing.join()
        assert session.closed
        assert not group.cluster.alive
        with pytest.raises(BusyError, match="closing"):
            group.cluster.submit(requests(1), asked[0].hear)


def test_a_replica_with_other_bases_is_sent_away(caplog: Any) -> None:
    with gathered(1) as group:
        stranger = group.add(bases=("another",))
        wait_for(lambda: not stranger.thread.is_alive())
        assert "it has no vignette" in caplog.text
        asked = Asked()
        group.cluster.submit(requests(1), asked.hear)
        update: JobUpdate = asked.end()
        assert isinstance(update, Done)


def test_a_job_goes_where_its_loras_hang_already() -> None:
    with gathered(2) as group:
        homes = []
        for name in (
            "ink",
            "oil",
            "ink",
            "oil",
            "ink",
        ):  # no such files, which is told by whoever hangs them up
            asked = Asked()
            group.cluster.submit(requests(1, loras=(LoraUse(name=name),)), asked.hear)
            assert isinstance(asked.end(), Failed)
            failed = [replica.replica.engine.stats().counters["jobs_failed"] for replica in group.replicas]
            homes.append(failed)
        first = [one - other for one, other in zip(homes[2], homes[1], strict=True)]
        assert first == homes[0]
        assert sorted(homes[-1]) == [2, 3]


def test_a_cluster_that_was_never_begun_can_be_closed() -> None:
    cluster = Cluster(slow_plan(), replicas=2)
    asked = Asked()
    cluster.submit(requests(1), asked.hear)
    cluster.close()
    cluster.close()
    assert isinstance(asked.end(), Cancelled)
    assert not cluster.alive

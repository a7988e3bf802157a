from __future__ import annotations

import threading
from functools import partial

import pytest
from tests.studio.cluster.replicas import Asked, gathered, load_nothing, requests, slow_plan, wait_for

from allaprima.core.errors import PaintError, WeightsError
from allaprima.studio.cluster import guest as guest_module
from allaprima.studio.cluster.guest import Guest
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.meeting_point import MeetingPoint, dial
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.engine.messages import Done

KEY = b"a key of many signs"


def test_a_guest_joins_paints_joins_again_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_module, "RETRY_S", 0.05)
    with gathered(0) as group:
        links: list[Link] = []

        def welcome(link: Link, name: str) -> None:
            links.append(link)
            group.cluster.join(link, name)

        point = MeetingPoint("127.0.0.1", 0, KEY, welcome)
        port = point.port
        guest = Guest(plan=slow_plan(), dial_cluster=partial(dial, "127.0.0.1", port, KEY))
        thread = threading.Thread(target=guest.run)
        thread.start()
        asked = Asked()
        group.cluster.submit(requests(1), asked.hear)
        assert isinstance(asked.end(), Done)
        point.close()  # for a while nobody answers
        links[0]._hang_up()
        wait_for(lambda: group.cluster.stats().replicas == 0)
        again = MeetingPoint("127.0.0.1", port, KEY, welcome)
        asked = Asked()
        group.cluster.submit(requests(1), asked.hear)
        assert isinstance(asked.end(), Done)
        assert len(links) == 2
        guest.leave()
        thread.join(30)
        assert not thread.is_alive()
        wait_for(lambda: group.cluster.stats().replicas == 0)
        again.close()


def test_a_base_that_cannot_be_loaded_and_a_wrong_key_end_it() -> None:
    with gathered(0) as group:
        point = MeetingPoint("127.0.0.1", 0, KEY, group.cluster.join)
        bad = ReplicaPlan(painter_factory=load_nothing, bases=("vignette",))
        with pytest.raises(WeightsError, match="damaged"):
            Guest(plan=bad, dial_cluster=partial(dial, "127.0.0.1", point.port, KEY)).run()
        assert group.cluster.load_error is None  # the studio waits for a better one
        with pytest.raises(PaintError, match="another"):
            Guest(plan=slow_plan(), dial_cluster=partial(dial, "127.0.0.1", point.port, b"no")).run()
        point.close()

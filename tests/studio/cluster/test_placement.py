from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.studio.cluster.placement import (
    outfit_of,
    outfit_of_request,
    replica_for_job,
    replica_for_session,
)


@dataclass(frozen=True, kw_only=True)
class Stand:
    num_sessions: int = 0
    is_busy: bool = False
    worn: Collection[Hashable] = frozenset()
    last_used: float = 0.0


def test_an_outfit_is_the_base_and_the_names_of_its_loras() -> None:
    ink, oil = LoraUse(name="ink", weight=0.5), LoraUse(name="oil")
    assert outfit_of("a", (ink, oil)) == outfit_of("a", (oil, LoraUse(name="ink", weight=1.0)))
    assert outfit_of("a", (ink,)) != outfit_of("b", (ink,))
    assert outfit_of_request(GenerationRequest(prompt="x", loras=(ink,))) == outfit_of("vignette", (ink,))


def test_a_job_goes_to_who_wears_its_loras_then_to_who_has_the_fewest_sessions_then_to_who_has_rested() -> (
    None
):
    worn = Stand(worn=("ink",), num_sessions=9)
    idle, recent = Stand(last_used=1.0), Stand(last_used=2.0)
    assert replica_for_job([idle, worn], "ink") is worn
    assert replica_for_job([worn, recent, idle], "oil") is idle
    assert replica_for_job([recent, Stand(num_sessions=1)], "oil") is recent


def test_sessions_are_spread_evenly() -> None:
    assert replica_for_session([Stand(num_sessions=2), fewest := Stand(num_sessions=1)], "ink") is fewest
    assert replica_for_session([Stand(is_busy=True), free := Stand()], "ink") is free
    ink = Stand(num_sessions=1, worn=("ink",))
    assert replica_for_session([ink, empty := Stand()], "ink") is empty


def test_a_session_joins_those_with_its_loras_unless_they_are_far_more() -> None:
    ink, oil = Stand(num_sessions=3, worn=("ink",)), Stand(num_sessions=2, worn=("oil",))
    assert replica_for_session([oil, ink], "ink") is ink
    crowded = Stand(num_sessions=5, worn=("ink",))
    assert replica_for_session([crowded, oil], "ink") is oil

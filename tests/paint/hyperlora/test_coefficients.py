from __future__ import annotations

import pytest
import torch

from allaprima.paint.hyperlora.coefficients import (
    Coefficients,
    average,
    direction_between,
    interpolate,
    move,
    similarity,
    unit,
)


def person(seed: int, *, base: bool = False) -> Coefficients:
    generator = torch.Generator().manual_seed(seed)
    identity = unit(torch.randn(4, 2, 9, generator=generator))
    return Coefficients(
        identity=identity, base=unit(torch.randn(4, 2, 9, generator=generator)) if base else None
    )


def test_the_average_of_one_is_that_one() -> None:
    ada = person(0, base=True)
    same = average([ada])
    assert torch.allclose(same.identity, ada.identity, atol=1e-6)
    assert same.base is not None
    assert ada.base is not None
    assert torch.allclose(same.base, ada.base, atol=1e-6)


def test_weights_of_an_average_count_as_photos_do() -> None:
    ada, ben = person(0), person(1)
    assert torch.allclose(
        average([ada, ben], [2.0, 1.0]).identity, average([ada, ben, ada]).identity, atol=1e-6
    )


def test_a_base_lora_is_averaged_only_if_all_have_one() -> None:
    assert average([person(0, base=True), person(1)]).base is None


def test_likeness_moves_monotonically_from_one_to_the_other() -> None:
    ada, ben = person(0), person(1)
    likeness = [similarity(interpolate(ada, ben, step / 8), ben) for step in range(9)]
    assert likeness == sorted(likeness)
    assert likeness[-1] == pytest.approx(1.0, abs=1e-5)


def test_a_slider_leads_from_one_set_to_the_other() -> None:
    young, old = [person(0)], [person(1)]
    moved = move(young[0], direction_between(young, old), 1.0)
    assert similarity(moved, old[0]) == pytest.approx(1.0, abs=1e-5)
    back = move(young[0], direction_between(young, old), -1.0)
    assert similarity(back, old[0]) < similarity(young[0], old[0])


def test_a_slider_has_nothing_in_common_with_the_ways_between_people() -> None:
    people = [person(seed) for seed in range(4)]
    way = direction_between([person(10)], [person(11)], identities=people)
    for one in people[1:]:
        between = one.identity - people[0].identity
        assert torch.allclose((way * between).sum(dim=-1), torch.zeros(4, 2), atol=1e-5)
    assert way.norm() > 0.1


@pytest.mark.parametrize("weights", [[], [1.0], [0.0, 0.0], [1.0, -2.0]])
def test_weights_that_make_no_average_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        average([person(0), person(1)], weights)


def test_nobody_has_no_average() -> None:
    with pytest.raises(ValueError, match="at least one"):
        average([])


def test_only_pairs_of_vectors_are_coefficients() -> None:
    with pytest.raises(ValueError, match="expected"):
        Coefficients(identity=torch.zeros(4, 9))

from __future__ import annotations

import pytest
import torch

from allaprima.paint.contract.base import TextStates


def test_rows_are_chosen_in_order_and_may_repeat() -> None:
    states = torch.arange(12.0).reshape(2, 3, 2)
    text = TextStates(states=states, mask=torch.tensor([[True, True, False], [True, False, False]]))
    chosen = text.rows([1, 0, 1])
    assert len(text) == 2
    assert len(chosen) == 3
    assert torch.equal(chosen.states[2], states[1])
    assert torch.equal(chosen.mask[1], text.mask[0])


@pytest.mark.parametrize(
    ("states", "mask"),
    [
        (torch.zeros(2, 3, 4), torch.ones(2, 4, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 4), torch.ones(2, 3)),
    ],
)
def test_states_and_mask_that_do_not_fit_are_refused(states: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        TextStates(states=states, mask=mask)


def test_maps_go_with_their_prompts() -> None:
    states, mask = torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
    maps = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 5, 2, 2)
    chosen = TextStates(states=states, mask=mask, layout=maps).rows([1, 1, 0]).layout
    assert chosen is not None
    assert torch.equal(chosen, maps[[1, 1, 0]])
    with pytest.raises(ValueError, match=r"got the map \(1, 5, 2, 2\) for 2 prompts"):
        TextStates(states=states, mask=mask, layout=maps[:1])

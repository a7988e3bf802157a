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

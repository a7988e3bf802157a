"""The code of kinds: unit variance over the names it is measured on, and means without marks."""

from __future__ import annotations

import torch

from allaprima.paint.layout.kinds import KindCode, mean_states
from allaprima.paint.layout.lattice import KIND_WIDTH


def test_each_number_varies_by_one() -> None:
    names = torch.randn(200, 32, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 33.0)
    code = KindCode(32)
    code.measure(names)
    coded = code(names)
    assert coded.shape == (200, KIND_WIDTH)
    torch.testing.assert_close(coded.mean(0), torch.zeros(KIND_WIDTH), atol=1e-4, rtol=0)
    torch.testing.assert_close(coded.std(0, correction=0), torch.ones(KIND_WIDTH), atol=1e-3, rtol=0)


def test_few_names_leave_numbers_empty() -> None:
    code = KindCode(32)
    code.measure(torch.randn(3, 32, generator=torch.Generator().manual_seed(0)))
    assert code.directions[:2].any(1).all()
    assert not code.directions[2:].any()


def test_marks_and_padding_are_left_out_of_a_names_mean() -> None:
    states = torch.tensor([[9.0, 1.0, 3.0, 9.0], [9.0, 5.0, 9.0, 7.0]])[:, :, None]
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    assert mean_states(states, mask)[:, 0].tolist() == [2.0, 5.0]

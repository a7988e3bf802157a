from __future__ import annotations

import pytest
import torch

from allaprima.core.layout import Box
from allaprima.lab.comparison.typed_pictures import background_change, typed_pairs

LEFT_HALF = Box(0.0, 0.0, 0.5, 1.0)


def test_pairs_differ_in_one_word() -> None:
    pairs = typed_pairs(20)
    assert len({(pair.kinds, pair.where) for pair in pairs}) == 20
    for pair in pairs:
        first, second = pair.asked
        assert first.seed == second.seed
        words = zip(first.prompt.split(), second.prompt.split(), strict=True)
        assert sum(one != other for one, other in words) == 1


def test_the_subject_may_change_and_the_background_counts() -> None:
    (pair,) = typed_pairs(1)
    first = torch.zeros(3, 256, 256)
    subject, both = first.clone(), first.clone()
    subject[:, :, :120] = 1.0
    both[:] = 0.5
    for second, change in ((subject, 0.0), (both, 0.5)):
        found = background_change([pair], iter([first, second]), lambda _picture, _kind: LEFT_HALF)
        assert found == pytest.approx(change)


def test_pairs_without_a_background_tell_nothing() -> None:
    pairs, everything = typed_pairs(1), Box(0.0, 0.0, 1.0, 1.0)
    frames = iter([torch.zeros(3, 256, 256), torch.ones(3, 256, 256)])
    assert background_change(pairs, frames, lambda _picture, _kind: everything) is None

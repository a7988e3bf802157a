"""The maths of one update of one weight, against the formula written out."""

from __future__ import annotations

import pytest
import torch

from allaprima.paint.lora.update import Dense, LowRank, delta_of, merge_into, write_stack


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_halves_that_cannot_be_multiplied_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got down \(2, 3\) and up \(4, 3\)"):
        LowRank(down=torch.ones(2, 3), up=torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"got delta \(4,\)"):
        Dense(delta=torch.ones(4))


def test_a_convolution_keeps_its_kernel_in_the_first_half() -> None:
    update = LowRank(down=random(2, 3, 3, 3), up=random(4, 2, 1, 1), scale=0.5)
    expected = 0.5 * torch.einsum("or,rikl->oikl", update.up[:, :, 0, 0], update.down)
    assert update.shape == (4, 3, 3, 3)
    assert torch.allclose(delta_of(update), expected, atol=1e-6)


def test_updates_side_by_side_are_their_sum_and_the_rest_is_zero() -> None:
    parts = [
        LowRank(down=random(2, 5), up=random(4, 2)),
        LowRank(down=random(3, 5), up=random(4, 3), scale=2.0),
    ]
    stack = LowRank(down=torch.empty(8, 5), up=torch.empty(4, 8))
    write_stack(parts, stack.down, stack.up)
    assert torch.allclose(delta_of(stack), delta_of(parts[0]) + delta_of(parts[1]), atol=1e-5)
    assert not stack.down[5:].any()
    assert not stack.up[:, 5:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_dense", [False, True])
def test_a_merged_weight_is_the_formula_rounded_once(dtype: torch.dtype, *, has_dense: bool) -> None:
    weight, out = random(4, 5).to(dtype), torch.empty(4, 5, dtype=dtype)
    stack, scale = LowRank(down=random(3, 5), up=random(4, 3)), torch.tensor([0.5, 1.0, -2.0])
    dense = random(4, 5) if has_dense else None
    merge_into(weight, stack, scale, dense, out=out)
    expected = weight.float() + (stack.up * scale) @ stack.down + (0 if dense is None else dense)
    torch.testing.assert_close(out, expected.to(dtype), rtol=1e-6, atol=1e-6)

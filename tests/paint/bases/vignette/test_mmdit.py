"""Our transformer is diffusers' Qwen-Image transformer: the same names, the same numbers, gradients too."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from torch import Tensor

from allaprima.paint.bases.vignette.mmdit import Transformer

AXES = (4, 6, 6)


def pair() -> tuple[QwenImageTransformer2DModel, Transformer]:
    """Both classes with the same random weights, no layer at rest."""
    torch.manual_seed(0)
    theirs = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=3, num_attention_heads=2,
        attention_head_dim=16, joint_attention_dim=24, axes_dims_rope=AXES,
    )  # fmt: skip
    for parameter in theirs.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    ours = Transformer(
        in_channels=16, out_channels=16, layers=3, heads=2, head_width=16, text_width=24, rope_axes=AXES
    )
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (8, 2)])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_are_those_of_diffusers(size: tuple[int, int], masked: bool) -> None:
    theirs, ours = pair()
    tokens, states = torch.randn(2, size[0] * size[1], 16), torch.randn(2, 7, 24)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    given = mask if masked else None
    t = torch.tensor([0.31, 0.97])
    wanted: Tensor = theirs(
        hidden_states=tokens, encoder_hidden_states=states, encoder_hidden_states_mask=given,
        timestep=t, img_shapes=[(1, *size)], return_dict=False,
    )[0]  # fmt: skip
    got = ours(tokens, states, given, t, size)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    torch.autograd.backward(wanted.square().mean())
    torch.autograd.backward(got.square().mean())
    mine = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        gradient = mine[name].grad
        if gradient is None:  # the last block's text, which nothing reads
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            assert parameter.grad is not None
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-5)


def test_weights_go_both_ways() -> None:
    theirs, ours = pair()
    theirs.load_state_dict(ours.state_dict())
    assert set(ours.state_dict()) == set(theirs.state_dict())


def test_angles_kept_from_painting_serve_a_training() -> None:
    _, ours = pair()
    tokens, states, t = torch.randn(1, 9, 16), torch.randn(1, 11, 24), torch.tensor([0.5])
    with torch.inference_mode():
        ours(tokens, states, None, t, (3, 3))
    torch.autograd.backward(ours(tokens, states, None, t, (3, 3)).sum())


def test_painting_computes_what_training_does() -> None:
    _, ours = pair()
    tokens, states, t = torch.randn(2, 9, 16), torch.randn(2, 5, 24), torch.tensor([0.5, 0.75])
    with torch.no_grad():
        trained = ours(tokens, states, None, t, (3, 3))
    with torch.inference_mode():
        painted = ours(tokens, states, None, t, (3, 3))
    torch.testing.assert_close(painted, trained, rtol=1e-4, atol=1e-5)

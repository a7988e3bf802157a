"""A batch is its rows one by one, in any number format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.lab.distill.tiny import (
    FAMILIES,
    SHAPES,
    draw,
    teacher,
    texts,
)
from tests.tiny_klein import write_tiny_klein
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_z_image import write_tiny_z_image

from allaprima.lab.distill.network import Network
from allaprima.lab.distill.networks import network_of
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base

WORDS = ["a cat", "three cats on a roof", "a dog", "", "a cat on a roof at night in the rain"]


WRITERS: dict[str, Callable[[Path], Path]] = {
    "qwen": write_tiny_qwen, "klein": write_tiny_klein, "z-image": write_tiny_z_image,
}  # fmt: skip
PROJECTIONS = {
    "qwen-image": ("transformer_blocks.0.attn", ("to_q", "add_k_proj"), [0, 1]),
    "flux2-klein": ("transformer_blocks.0.attn", ("to_q", "add_k_proj"), [0]),
    "z-image": ("layers.0.attention", ("to_q", "to_k"), [0, 1]),
}
"""A block's attention, two of its layers, and which blocks there are."""


@pytest.fixture(scope="module", params=WRITERS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = WRITERS[request.param](tmp_path_factory.mktemp("bases") / request.param)
    return load_base(str(folder), device=torch.device("cpu"), dtype=torch.float32)


def asked(network: Network, base: Base) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and times for the words."""
    return base.noise(range(len(WORDS)), 64, 64), network.process.times(torch.linspace(0.1, 0.9, len(WORDS)))


def test_a_loaded_transformer_answers_prompts_of_any_lengths_as_it_paints_them(loaded: Base) -> None:
    network, text = network_of(loaded), loaded.encode_text(WORDS)
    x, t = asked(network, loaded)
    with torch.no_grad():
        assert torch.allclose(network(x, t, text), loaded.predict(x, t, text), atol=1e-6)


def test_prompts_of_any_lengths_get_the_gradients_of_each_alone(loaded: Base) -> None:
    network, text = network_of(loaded), loaded.encode_text(WORDS)
    x, t = asked(network, loaded)
    path, projections, _ = PROJECTIONS[loaded.family]
    attention = network.network.get_submodule(path).requires_grad_(True)
    weights = [attention.get_parameter(f"{name}.weight") for name in projections]
    together = torch.autograd.grad(network(x, t, text).square().sum(), weights)
    alone = [torch.zeros_like(one) for one in weights]
    for row in range(len(WORDS)):
        one = network(x[row : row + 1], t[row : row + 1], text.rows([row])).square().sum()
        alone = [sum_ + found for sum_, found in zip(alone, torch.autograd.grad(one, weights), strict=True)]
    for found, expected in zip(together, alone, strict=True):
        assert expected.abs().max() > 0
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_what_a_block_returns_and_what_it_is_told_keep_to_their_rows(loaded: Base) -> None:
    network, text = network_of(loaded), loaded.encode_text(WORDS)
    x, t = asked(network, loaded)
    addition = torch.randn(len(WORDS), 32, generator=torch.Generator().manual_seed(0))
    depths = PROJECTIONS[loaded.family][2]
    with torch.no_grad():
        maps = network.features(x, t, text, depths)
        with network.added_to_time(addition):
            told = network(x, t, text)
        for row in range(len(WORDS)):
            only = slice(row, row + 1)
            for found, expected in zip(
                maps, network.features(x[only], t[only], text.rows([row]), depths), strict=True
            ):
                assert torch.allclose(found[only], expected, atol=1e-5)
            with network.added_to_time(addition[only]):
                assert torch.allclose(told[only], network(x[only], t[only], text.rows([row])), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_narrow_weights_answer_wide_questions_in_wide_numbers(family: str) -> None:
    wide, narrow = teacher(family), teacher(family).to(torch.bfloat16)
    x, text = draw().noise(*SHAPES[family]), texts(family).take([0, 1, 2, 3])
    t = wide.process.times(torch.tensor([0.9, 0.7, 0.5, 0.2]))
    with torch.no_grad():
        exact, found = wide(x, t, text), narrow(x, t, text)
        with torch.autocast("cpu", torch.bfloat16):
            trained = narrow(x, t, text)
    assert exact.dtype == found.dtype == trained.dtype == torch.float32
    assert (found - exact).square().mean() < 1e-3 * exact.square().mean()
    assert (trained - exact).square().mean() < 1e-3 * exact.square().mean()

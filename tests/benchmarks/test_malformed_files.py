"""Every malformed file is refused in one sentence, within bounded memory, and leaves all as it was."""

from __future__ import annotations

import resource
from pathlib import Path

import torch
from benchmarks.malformed_files import MalformedFile, malformed_files, refusal_of
from tests.tiny_qwen import byte_tokenizer

from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_malformed_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    count, last = 0, None
    peak = peak_bytes()
    for wrong in malformed_files(tmp_path):
        before = {path: path.read_bytes() for path in (wrong.path, *wrong.others.values())}
        complaint = refusal_of(wrong)
        assert complaint, wrong.name
        assert complaint.isprintable(), wrong.name
        assert len(complaint) < 700, wrong.name
        assert "expected" in complaint or "fetch" in complaint or "give" in complaint, (wrong.name, complaint)
        assert {path: path.read_bytes() for path in before} == before, wrong.name
        count, last = count + 1, wrong
    assert count >= 150
    assert peak_bytes() - peak < 400 * 2**20
    assert isinstance(last, MalformedFile)
    right = next((tmp_path / "gguf" / "text_encoders").iterdir())
    load_split_qwen_image(
        {**last.others, "text_encoder": right}, dtype=torch.float32, tokenizer=byte_tokenizer
    )

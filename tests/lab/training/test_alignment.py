"""What tokens show agrees with what the renderer painted."""

from __future__ import annotations

import numpy as np
import torch

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.alignment import GROUPS, THINGS, TOKENS, UNASKED, naming_error, token_names
from allaprima.lab.training.scenes import cell_coverage
from allaprima.paint.layout.spots import PERSON


def test_tokens_are_named_after_the_subject_that_is_painted_there(sprites: SpriteCache) -> None:
    right = asked = 0
    known = {*HEADS, "car", PERSON}
    scenes = (draw_scene(seed) for seed in range(200))
    for scene in [one for one in scenes if {subject.kind for subject in one.subjects} <= known][:24]:
        masks = render_scene(scene, sprites).masks
        names = token_names(scene, cell_coverage(masks))
        shares = masks.reshape(len(masks), TOKENS, 32, TOKENS, 32).mean((2, 4)) / 255.0
        for index, subject in enumerate(scene.subjects):
            mine = (shares[index] > 0.6) & (names[0] != UNASKED)
            asked += int(mine.sum())
            right += int((names[0][mine] == THINGS.index(subject.kind)).sum())
            assert set(names[1][mine]) <= {GROUPS[1].index(s.accessory or "") for s in scene.subjects}
        free = shares.max(0) < 0.1
        assert (names[0][free] == THINGS.index(scene.place)).all()
        assert (names[3][free] == GROUPS[3].index(scene.weather)).all()
    assert asked > 100
    assert right > 0.95 * asked


def test_only_asked_tokens_count() -> None:
    sizes = [len(group) for group in GROUPS]
    names = torch.full((2, len(GROUPS), TOKENS, TOKENS), UNASKED)
    logits = torch.randn(2, TOKENS * TOKENS, sum(sizes), requires_grad=True)
    error, _ = naming_error(logits, names)
    assert error == 0
    names[0, 0, 2, 3] = 5
    error, right = naming_error(logits, names)
    torch.autograd.backward(error)
    assert logits.grad is not None
    touched = logits.grad.abs().sum(2).nonzero().tolist()
    assert touched == [[0, 2 * TOKENS + 3]]
    assert right in (0.0, 1.0)
    assert np.isclose(
        float(error.detach()),
        float(torch.nn.functional.cross_entropy(logits[0, 19, : sizes[0]], torch.tensor(5)).detach()) / 4,
    )

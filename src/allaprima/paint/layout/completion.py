"""Completing a layout: what a person leaves open is drawn from the seed, as the renderer of the scenes draws it.

    complete((), "a cat on a rooftop", 7)

A denoiser paints best what it is told, so it is told everything. Each decision draws for itself: another kind of
subject changes neither what stands behind it nor where it stands, another place moves no subject, another hour
changes the sky alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from allaprima.core.layout import LAYERS, Box, Layout, LayoutLayer, PaintedLayout, Thing
from allaprima.core.layout_json import MAX_PAINTED, MAX_THINGS
from allaprima.paint.layout.company import Companion, companions_of, kind_named, place_missing
from allaprima.paint.layout.draws import SeededDraws
from allaprima.paint.layout.figures import Outline
from allaprima.paint.layout.reading import read
from allaprima.paint.layout.renders import Renders, shipped_renders
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.surroundings import surround


def complete(layout: Layout, prompt: str, seed: int, *, renders: Renders | None = None) -> Layout:
    """Return the layout with boxes for everything that it and the prompt leave open.

    What is given stays exactly as it is. Subjects that the prompt names and that have no box get one, then faces and
    what is worn, then what stands behind and the ground. Words that are not known add nothing (see
    :func:`whole_layers`). The same arguments give the same layout with every version of Python.

    Args:
        layout: what is given, from back to front; may be empty.
        prompt: in English or Chinese.
        seed: the picture's.
        renders: what the renderer draws; the table that ships where it is None.
    """
    renders = renders or shipped_renders()
    asked = read(prompt)
    given = [thing for thing in layout if thing.layer == "subject"]
    companions = companions_of(asked, given, seed, renders)
    placed = place_missing(asked, companions, given, seed)
    numbered = _number([thing for thing, _ in placed], given)
    groups = [
        [thing, *companion.outline.parts(companion.accessory, thing.box, thing.number)]
        for thing, (_, companion) in zip(numbered, placed, strict=True)
    ]
    stood: list[Thing] = []
    for thing in layout:
        if thing.layer == "subject":
            stood += [part for group in _before(groups, thing.box.bottom) for part in group]
        if thing.layer in ("subject", "part"):
            stood.append(thing)
        if thing.layer == "subject":
            stood += _missing_parts(thing, layout, companions, seed, renders)
    stood += [part for group in groups for part in group]
    things = (*surround(asked, layout, seed, renders), *stood)
    if len(things) > MAX_PAINTED:  # of a crowd, faces are too small to be seen
        things = tuple(thing for thing in things if thing.layer != "part" or thing in layout)
    return things


def painted_layout(layout: Layout, prompt: str, seed: int) -> PaintedLayout:
    """Return what a base is told: the completed layout, and the layers of which it holds all there is."""
    things = complete(layout, prompt, seed)
    return PaintedLayout(things=things, whole=whole_layers(things, prompt))


def whole_layers(layout: Layout, prompt: str) -> frozenset[LayoutLayer]:
    """Return the layers that hold all there is, once `layout` was completed for `prompt`.

    All four, unless the prompt has words that are not known, or no known subject: then subjects and parts may be
    missing, and a denoiser must not be told that there are none.
    """
    named = any(thing.layer == "subject" for thing in layout)
    if named and not read(prompt).unknown:
        return frozenset(LAYERS)
    return frozenset(("behind", "ground"))


def _before(groups: list[list[Thing]], bottom: float) -> list[list[Thing]]:
    """Take the groups out of the list that stand farther back than `bottom`, and return them."""
    count = sum(group[0].box.bottom < bottom for group in groups)
    taken, groups[:] = groups[:count], groups[count:]
    return taken


def _number(things: Sequence[Thing], given: Sequence[Thing]) -> list[Thing]:
    """Number new subjects by their rank from the left among all, with a free number where a given one has that."""
    middles = sorted(_middle(thing) for thing in (*things, *given))
    used = {thing.number for thing in given}
    numbers: dict[int, int] = {}
    for index in sorted(range(len(things)), key=lambda index: _middle(things[index])):
        rank = middles.index(_middle(things[index]))
        free = (one for one in (rank, *range(MAX_THINGS)) if one not in used and one < MAX_THINGS)
        numbers[index] = next(free, MAX_THINGS - 1)
        used.add(numbers[index])
    return [replace(thing, number=numbers[index]) for index, thing in enumerate(things)]


def _middle(thing: Thing) -> float:
    return (thing.box.left + thing.box.right) / 2


def _missing_parts(
    thing: Thing, layout: Layout, companions: Sequence[Companion], seed: int, renders: Renders
) -> list[Thing]:
    """Return the parts that a given subject should have and that the layout does not hold."""
    kind = kind_named(thing.kind)
    companion = next((companion for companion in companions if companion.kind == kind), None)
    outline: Outline | None
    if companion is not None:
        outline, accessory = companion.outline, companion.accessory
    else:
        hair = SeededDraws(seed, "hair 0").choice(renders.hairs) if kind == PERSON else None
        outline, accessory = renders.outline(kind, None, hair), None
    if outline is None:
        return []
    held = {part.kind.strip().lower() for part in layout if part.layer == "part" and _is_part(part, thing)}
    return [part for part in outline.parts(accessory, thing.box, thing.number) if part.kind not in held]


def _is_part(part: Thing, thing: Thing) -> bool:
    """Return whether a part belongs to a subject: it has its number and its middle lies there."""
    x, y = _middle(part), (part.box.top + part.box.bottom) / 2
    box: Box = thing.box
    return part.number == thing.number and box.left <= x <= box.right and box.top <= y <= box.bottom

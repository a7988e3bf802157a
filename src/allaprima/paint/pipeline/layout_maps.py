"""What stands where, as a base is shown it: one map a picture, drawn by the base.

layouts = [told_layout(base, request, completion) for request in requests]
maps = draw_maps(guard, layouts, width, height)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from allaprima.core.init_image import InitImage
from allaprima.core.layout import Box, Layout, PaintedLayout
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base

LayoutCompletion = Callable[[Layout, str, int], PaintedLayout]
"""Given a layout, a prompt and a seed, returns the things of the picture, those given as they are, and the layers of
which these are all."""
_MOST_NAMED = 8


def told_layout(
    base: Base, request: GenerationRequest, completion: LayoutCompletion | None
) -> PaintedLayout | None:
    """Return what `base` is told stands where in a picture of `request`; None where it is told nothing.

    Args:
        base: what paints.
        request: its layout is completed if it wants that.
        completion: None to leave open what is open.
    """
    if not base.reads_layout:
        return None
    told = PaintedLayout(things=request.layout)
    if completion is not None and request.complete_layout:
        told = completion(request.layout, request.prompt, request.seed)
    return told if told.things or told.whole else None


def draw_maps(
    base: Base,
    layouts: Sequence[PaintedLayout | None],
    width: int,
    height: int,
    init_image: InitImage | None = None,
) -> list[Tensor | None]:
    """Return the map (1, M, h, w) of each picture; None where nothing is told.

    Args:
        base: what paints; it reads layouts if any are told.
        layouts: what it is told, in fractions of the whole picture.
        width: pixels that are painted.
        height: pixels that are painted.
        init_image: what is painted over, perhaps a window of the whole picture.
    """
    told = [_in_window(layout, init_image) for layout in layouts if layout is not None]
    drawn = iter(base.draw_layouts(told, width, height)[:, None] if told else ())
    return [None if layout is None else next(drawn) for layout in layouts]


def remarks_on_layout(base: Base, request: GenerationRequest) -> tuple[str, ...]:
    """Return a sentence for a layout that the base does not read, or for things that nothing is seen of."""
    if not request.layout:
        return ()
    if not base.reads_layout:
        return (f"the layout does nothing: {base.name} reads none",)
    hidden = list(dict.fromkeys(thing.kind for thing in request.layout if _is_outside(thing.box)))
    if not hidden:
        return ()
    named = ", ".join(map(repr, hidden[:_MOST_NAMED])) + (" ..." if hidden[_MOST_NAMED:] else "")
    return (f"the layout puts {named} outside the picture, where nothing of it is seen",)


def _is_outside(box: Box) -> bool:
    return box.right <= 0.0 or box.left >= 1.0 or box.bottom <= 0.0 or box.top >= 1.0


def _in_window(layout: PaintedLayout, init_image: InitImage | None) -> PaintedLayout:
    """Return a layout in fractions of the window that is painted; as it is where that is the whole picture."""
    around = None if init_image is None else init_image.surround
    if around is None:
        return layout
    left, top, right, bottom = around.box
    across, down = right - left, bottom - top

    def moved(box: Box) -> Box:
        return Box(
            (box.left * around.width - left) / across,
            (box.top * around.height - top) / down,
            (box.right * around.width - left) / across,
            (box.bottom * around.height - top) / down,
        )

    return replace(layout, things=tuple(replace(thing, box=moved(thing.box)) for thing in layout.things))

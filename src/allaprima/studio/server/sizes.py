"""Sizes that a base cannot paint: the nearest is painted, and the picture is cut and scaled to what was asked for.

Clients have sizes built in (1024 x 1024, 512 x 512), and a person behind one cannot change them. The gallery keeps
what was painted; the answer says what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from PIL import Image, ImageOps

from allaprima.core.picture import Picture
from allaprima.core.request import MAX_SIDE_PX
from allaprima.core.request_defaults import RequestDefaults

Sides = tuple[int, int]


class SizedBase(Protocol):
    """A base, as far as sizes depend on it."""

    @property
    def defaults(self) -> RequestDefaults:
        """The size that it is painted with by itself."""

    @property
    def fixed_size(self) -> bool:
        """Whether it paints one size only."""

    @property
    def stride(self) -> int:
        """Pixels that both sides are multiples of."""


@dataclass(frozen=True, kw_only=True)
class FittedSize:
    """A size that was asked for, and the one that is painted for it."""

    asked: Sides | None
    """None where that is the one painted."""

    def show(self, picture: Picture) -> Picture:
        """Return `picture` as it was asked for, with a remark if that is not how it was painted."""
        request = picture.request
        # What was painted into a larger picture has that one's size already.
        if self.asked is None or (picture.width, picture.height) != (request.width, request.height):
            return picture
        shown = ImageOps.fit(picture.image, self.asked, Image.Resampling.LANCZOS)
        return replace(
            picture, width=shown.width, height=shown.height, rgb=shown.tobytes(),
            remarks=(*picture.remarks, self._remark(picture)), painted_size=(picture.width, picture.height),
        )  # fmt: skip

    def _remark(self, picture: Picture) -> str:
        assert self.asked is not None
        painted, (width, height) = f"{picture.width}x{picture.height}", self.asked
        cut = ", its edges cut off" if picture.width * height != picture.height * width else ""
        base = picture.request.base
        return f"{base} does not paint {width}x{height}; the picture was painted at {painted} and scaled{cut}"


def fit_size(given: Mapping[str, Any], base: SizedBase) -> tuple[dict[str, Any], FittedSize]:
    """Return the fields `given` with the nearest size that `base` paints, and what to make of the picture."""
    width, height = given.get("width"), given.get("height")
    own = base.defaults
    asked = (own.width if width is None else width, own.height if height is None else height)
    painted = _nearest(asked, base) if all(type(side) is int for side in asked) else asked
    if painted == asked:
        return dict(given), FittedSize(asked=None)
    return {**given, "width": painted[0], "height": painted[1]}, FittedSize(asked=asked)


def _nearest(asked: Sides, base: SizedBase) -> Sides:
    if not all(1 <= side <= MAX_SIDE_PX for side in asked):
        return asked  # for the request to refuse
    if base.fixed_size:
        return base.defaults.width, base.defaults.height
    width, height = (max(base.stride, round(side / base.stride) * base.stride) for side in asked)
    return width, height

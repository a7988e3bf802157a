"""Grids as PNG files that carry the requests of all their pictures.

Beside our JSON's `layout` stands `grid`: its axes, the fields that all requests have in common as `request`, and for
each picture, in the order of `plan_cells`, the fields in which it differs (`cells`); null for one that is not there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.grid import Axis
from allaprima.core.infotext import MAX_CHARS
from allaprima.core.picture_encoding import KEY, LAYOUT
from allaprima.core.picture_opening import read_picture_file
from allaprima.core.picture_texts import read_texts
from allaprima.core.provenance import PNG_KEY, xmp_packet
from allaprima.core.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class GridRecord:
    """What a grid's file says about it."""

    axes: tuple[dict[str, Any], ...]
    """Each with its `field` and its `values`, the one across first."""
    requests: tuple[GenerationRequest | None, ...]
    """Of all pictures, row by row and block by block; None for one that was not painted."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        requests = [None if request is None else request.to_json() for request in self.requests]
        return {"axes": list(self.axes), "requests": requests}


def describe_grid(axes: Sequence[Axis], requests: Sequence[GenerationRequest | None]) -> str:
    """Return the JSON of a grid.

    Raises:
        RequestError: it would be longer than what is read again.
    """
    plain = [None if request is None else request.to_json() for request in requests]
    painted = [one for one in plain if one is not None]
    common = {
        key: value
        for key, value in (painted[0] if painted else {}).items()
        if all(one.get(key) == value for one in painted)
    }
    cells = [
        None if one is None else {key: value for key, value in one.items() if key not in common}
        for one in plain
    ]
    grid = {"axes": [axis.to_json() for axis in axes], "request": common, "cells": cells}
    text = json.dumps({"layout": LAYOUT, "grid": grid}, ensure_ascii=False)
    if len(text) > MAX_CHARS:
        raise RequestError(
            f"got a grid whose requests take {len(text):,} characters; expected at most {MAX_CHARS:,}: fewer "
            "pictures, or shorter prompts"
        )
    return text


def encode_grid(image: Image.Image, description: str) -> bytes:
    """Return the bytes of a PNG with a `description` of `describe_grid`."""
    text, out = PngInfo(), io.BytesIO()
    text.add_text(KEY, description)
    text.add_itxt(PNG_KEY, xmp_packet("trainedAlgorithmicMedia"))
    image.save(out, "PNG", pnginfo=text)
    return out.getvalue()


def read_grid(path: Path) -> GridRecord | None:
    """Return what the file at `path` says of its grid; None if it is no grid.

    Raises:
        PictureError: the file is no picture, or what it says is damaged.
    """
    text = read_texts(read_picture_file(path)).get(KEY, "")
    try:
        data = json.loads(text) if len(text) <= MAX_CHARS else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or "grid" not in data:
        return None
    try:
        grid = data["grid"]
        cells = (None if cell is None else {**grid["request"], **cell} for cell in grid["cells"])
        requests = [None if cell is None else GenerationRequest.from_json(cell) for cell in cells]
        axes = tuple({"field": str(axis["field"]), "values": list(axis["values"])} for axis in grid["axes"])
    except (RequestError, KeyError, TypeError) as error:
        raise PictureError(f"the grid in {path} cannot be used: {error}; expected one of prima's") from error
    return GridRecord(axes=axes, requests=tuple(requests))

"""Reading the request that a picture file carries; see `picture_encoding` for how it is written.

Nothing is trusted: only texts are parsed, sizes are limited, and a request that is there is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.foreign_metadata import find_program
from allaprima.core.infotext import MAX_CHARS, ImportedRequest, import_infotext, split_infotext
from allaprima.core.layout_json import painted_from_json
from allaprima.core.picture_encoding import INPAINT_AREA, KEY, LAYOUT, STEP_CACHE, STRENGTH
from allaprima.core.picture_opening import read_picture_file
from allaprima.core.picture_texts import read_texts
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Operation, operations_from_json


@dataclass(frozen=True, kw_only=True)
class History:
    """What a picture file says about itself."""

    request: GenerationRequest | None = None
    """What our own JSON says it was painted from."""
    operations: tuple[Operation, ...] = ()
    """What was done to it afterwards."""
    infotext: str | None = None
    """Its A1111 infotext, without our JSON."""


_PLACES = ("parameters", "UserComment", "ImageDescription", "XPComment", "comment", "Comment", "Description")
"""Where programs put infotext, the usual place first."""


def read_request(path: Path) -> GenerationRequest:
    """Return the request that the picture file at `path` carries; see `import_request`."""
    return import_request(path).request


def import_request(path: Path) -> ImportedRequest:
    """Return the request that the picture file at `path` carries, and what of its words that leaves out.

    Raises:
        PictureError: there is no such file, it is no picture, it carries no request, or a damaged one.
    """
    return import_picture(read_picture_file(path), str(path))


def import_picture(data: bytes, name: str) -> ImportedRequest:
    """Return the request that the picture file `data` carries, and what of its words that leaves out.

    Our own JSON wins; a file of another program is read by its infotext.

    Args:
        data: the file.
        name: what messages call it.

    Raises:
        PictureError: it is no picture, it carries no request, or a damaged one.
    """
    texts = _read_safely(data, name)
    infotext, our_json = _find_infotext(texts), _find_our_json(texts)
    if infotext is None and our_json is None:
        program = find_program(texts)
        found = "no request" if program is None else f"{program}, which prima does not read"
        raise PictureError(
            f"{name} carries {found}; expected a picture painted by prima, or one with A1111 parameters, that no "
            "program has stripped"
        )
    try:
        ours = None if our_json is None else _parse_ours(our_json)
        if ours is not None and "retouch" in ours and "request" not in ours:  # it may never have been painted
            if infotext is None:
                raise PictureError(
                    f"{name} was retouched and carries no request; expected a picture painted by prima"
                )
            ours = None
        if ours is not None and "grid" in ours:
            raise PictureError(
                f"{name} is a grid of pictures; expected one picture (prima show tells their requests)"
            )
        imported = import_infotext(infotext) if ours is None else _request_of(ours)  # type: ignore[arg-type]
    except RequestError as error:
        raise PictureError(f"the request in {name} cannot be used: {error}") from error
    strength, area = _read_overpainting(infotext)
    remarks = (*imported.remarks, *_remarks_on_step_cache(infotext))
    return replace(imported, remarks=remarks, init_strength=strength, inpaint_area=area)


def read_history(data: bytes, name: str = "the picture") -> History:
    """Return all that the picture file `data` says about itself; a picture may say nothing.

    Raises:
        PictureError: it is no picture, or what it says is damaged.
    """
    texts = _read_safely(data, name)
    infotext, our_json = _find_infotext(texts), _find_our_json(texts)
    try:
        ours = {} if our_json is None else _parse_ours(our_json)
        request = _request_of(ours).request if "request" in ours else None
        operations = operations_from_json(ours.get("retouch", ()))
    except RequestError as error:
        raise PictureError(f"what {name} says about itself cannot be used: {error}") from error
    return History(
        request=request,
        operations=operations,
        infotext=None if infotext is None else _without_ours(infotext),
    )


def read_infotext(file: BinaryIO) -> str | None:
    """Return the A1111 infotext that an open picture file carries, None if it carries none.

    Raises:
        PictureError: it is no picture, or a damaged one.
    """
    texts = _read_safely(file.read(), "the picture")
    return texts.get("parameters", _find_infotext(texts))


def _read_safely(data: bytes, name: str) -> dict[str, str]:
    try:
        return read_texts(data)
    except PictureError as error:
        raise PictureError(f"{name} cannot be read: {error}") from error


def _find_infotext(texts: Mapping[str, str]) -> str | None:
    """Return the first text that has the form of infotext; None if there is none, as in a photograph."""
    for text in (texts[place] for place in _PLACES if place in texts):
        try:
            split_infotext(text)
        except RequestError:
            continue
        return text
    return None


def _find_our_json(texts: Mapping[str, str]) -> str | None:
    if KEY in texts:
        return texts[KEY]
    if (comment := texts.get("UserComment", "")).startswith(f"{KEY}: {{"):  # of what was never painted
        return comment.removeprefix(f"{KEY}: ")
    infotext = _find_infotext(texts)
    return None if infotext is None else split_infotext(infotext)[2].get(KEY)


def _read_overpainting(infotext: str | None) -> tuple[str | None, str | None]:
    """Return how strongly another picture was painted over, and which part of it; None for what is not told."""
    settings = {} if infotext is None else split_infotext(infotext)[2]
    # Of a picture that was enlarged, the strength is that of the second pass over itself.
    enlarged = any(name.startswith("Hires") for name in settings)
    return (None, None) if enlarged else (settings.get(STRENGTH), settings.get(INPAINT_AREA))


def _remarks_on_step_cache(infotext: str | None) -> tuple[str, ...]:
    """Return that a picture was painted with a step cache, as a sentence: a request does not hold it."""
    setting = None if infotext is None else split_infotext(infotext)[2].get(STEP_CACHE)
    if setting is None:
        return ()
    option = setting[:40].replace(" ", ":")
    return (
        f"it was painted with a step cache, which is no part of a request: only --cache {option} paints it alike",
    )


def _parse_ours(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARS:
        raise RequestError(f"got JSON of {len(text):,} characters; expected at most {MAX_CHARS:,}")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("got damaged JSON; expected an object with a request") from None
    if not isinstance(data, dict) or data.get("layout") != LAYOUT:
        raise RequestError(
            f"got JSON of another layout; expected layout {LAYOUT}, perhaps a newer prima reads it"
        )
    return data


def _request_of(ours: Mapping[str, Any]) -> ImportedRequest:
    request = GenerationRequest.from_json(ours.get("request"))  # type: ignore[arg-type]  # it checks the type itself
    painted = ours.get("painted_layout")
    if painted is None:
        return ImportedRequest(request=request)
    try:
        return ImportedRequest(request=request, painted_layout=painted_from_json(painted))
    except RequestError as error:  # the request alone paints the picture
        return ImportedRequest(request=request, remarks=(f"the painted layout is left out: {error}",))


def _without_ours(infotext: str) -> str:
    """Return an infotext without our JSON, which is its last setting in JPEG and WebP."""
    return infotext.rpartition(f", {KEY}: ")[0] if KEY in split_infotext(infotext)[2] else infotext

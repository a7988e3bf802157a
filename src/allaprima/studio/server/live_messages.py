"""What goes over the live socket, both ways.

In, a JSON object: words, a change of what they are painted over, or both.

    {"sequence": 7, "prompt": "a cat on a roof", "settings": {"steps": 4, "seed": 1, "strength": 0.6}}
    {"sequence": 8, "picture": {"x": 40, "y": 8, "width": 32, "height": 32, "raw": true}}

An object whose change needs bytes comes in a binary message: four bytes with the length of the JSON (big-endian), the
JSON, the bytes. Every other is a text message. Frames go out as binary messages of the same form, the JPEG behind.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from allaprima.core.errors import RequestError
from allaprima.core.layout_json import layout_from_json, painted_to_json
from allaprima.core.request import LoraUse
from allaprima.core.starting_picture import STRENGTH
from allaprima.studio.engine.messages import MAX_SEQUENCE, Frame, LivePrompt, LiveSettings
from allaprima.studio.server.live_canvas import Region
from allaprima.studio.server.settings import Caps

PROTOCOL = 3
"""Counts the changes that a client may have to know of; 1 had no pictures, 2 no layouts."""
_WORDS = frozenset({"prompt", "settings"})
_KEYS = frozenset({"sequence", "picture", "mask"}) | _WORDS
_SETTINGS = frozenset(setting.name for setting in fields(LiveSettings)) | {"strength"}
_REGION = frozenset({"x", "y", "width", "height"})
Complete = Callable[[Mapping[str, Any]], dict[str, Any]]
Part = Literal["picture", "mask"]


class UnreadableError(RequestError):
    """The socket cannot read a message; a prompt that can be read but not painted is no such error."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of what a session is painted over: all of a part anew, a region of it, or none of it any more."""

    part: Part
    """What changes."""
    data: bytes | None = None
    """A file, or raw levels; None where the change says it all."""
    region: Region | None = None
    """What `data` replaces; None for all of the part."""
    kept: str | None = None
    """The id of a picture in the gallery that becomes the picture."""
    under: str | None = None
    """The id of one in the gallery whose underpainting, its mask and all, becomes this session's."""


@dataclass(frozen=True, kw_only=True)
class LiveMessage:
    """What a client said."""

    sequence: int
    """Of a `LivePrompt`."""
    words: LivePrompt | None = None
    """What is to be seen; None for what was asked last."""
    strength: float = STRENGTH
    """How strongly those words paint over the picture."""
    change: Change | None = None
    """A change of what is painted over, before the words are painted."""


def pack_frame(frame: Frame) -> bytes:
    """Return the binary message of a frame."""
    facts = {name: value for name, value in vars(frame).items() if name != "jpeg"}
    timings_ms = {stage: round(ms, 3) for stage, ms in frame.timings_ms.items()}
    layout = None if frame.layout is None else painted_to_json(frame.layout)
    return pack({"type": "frame", **facts, "timings_ms": timings_ms, "layout": layout}, frame.jpeg)


def unpack_frame(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and JPEG of a binary message; for clients and tests.

    Raises:
        ValueError: the message is cut short or its header no JSON object.
    """
    text, jpeg = _split(message)
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("got a header that is no JSON object")
    return header, jpeg


def pack(header: Mapping[str, Any], data: bytes) -> bytes:
    """Return the binary message of `header` and the bytes behind it."""
    text = json.dumps(header, ensure_ascii=False).encode()
    return b"".join((struct.pack(">I", len(text)), text, data))


def parse_message(message: str | bytes, caps: Caps, complete: Complete) -> LiveMessage:
    """Return what a client's message says; `complete` gives the settings that are left out their values.

    Raises:
        UnreadableError: it is no such message.
        RequestError: a value is out of range.
    """
    data, behind = _read_json(message, caps)
    if not isinstance(data, dict) or not set(data) <= _KEYS or "sequence" not in data:
        raise UnreadableError(
            "got another message; expected an object with sequence, prompt and perhaps settings, or with a change "
            "of picture or mask"
        )
    change = _parse_change(data, behind)
    if change is not None and not _WORDS & set(data):
        return LiveMessage(sequence=_check_sequence(data["sequence"]), change=change)
    if not isinstance(data.get("prompt"), str):
        raise UnreadableError(
            "got no prompt, or one that is no text; expected sequence, prompt and perhaps settings"
        )
    prompt, settings, strength = _parse_settings(data.get("settings", {}), data["prompt"], complete)
    said = None if prompt == data["prompt"] else data["prompt"]
    words = LivePrompt(sequence=data["sequence"], prompt=prompt, said=said, settings=settings)
    caps.check_size(settings.width, settings.height)
    return LiveMessage(sequence=words.sequence, words=words, strength=strength, change=change)


def sequence_of(message: str | bytes) -> int:
    """Return the sequence number in a message that cannot be used otherwise, 0 if there is none."""
    try:
        data = json.loads(message if isinstance(message, str) else _split(message)[0])
    except (ValueError, RecursionError):
        return 0
    sequence = data.get("sequence") if isinstance(data, dict) else None
    return sequence if isinstance(sequence, int) and 0 <= sequence <= MAX_SEQUENCE else 0


def _read_json(message: str | bytes, caps: Caps) -> tuple[object, bytes | None]:
    """Return the object in a message and the bytes behind it, None for a text message."""
    try:
        text, behind = (message, None) if isinstance(message, str) else _split(message)
        data = None if len(text) > caps.message_bytes else json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError(
            "got a message that is no JSON; expected an object with sequence and prompt, in a binary message behind "
            "its length in four bytes"
        ) from None
    if len(text) > caps.message_bytes:
        raise UnreadableError(f"got {len(text):,} bytes of JSON; expected at most {caps.message_bytes:,}")
    return data, behind


def _split(message: bytes) -> tuple[bytes, bytes]:
    if len(message) < 4 or len(message) < 4 + (length := struct.unpack_from(">I", message)[0]):
        raise ValueError(f"got a message of {len(message)} bytes; expected a length, a header and a picture")
    return message[4 : 4 + length], message[4 + length :]


def _parse_change(data: Mapping[str, Any], behind: bytes | None) -> Change | None:
    named: list[Part] = [part for part in ("picture", "mask") if part in data]
    if len(named) > 1:
        raise UnreadableError("got picture and mask in one message; expected one after the other")
    change = _parse_part(named[0], data[named[0]], behind) if named else None
    if behind is not None and (change is None or change.data is None):
        raise UnreadableError(
            "got bytes that belong to nothing; expected a picture, a mask or a region of one"
        )
    return change


def _parse_part(part: Part, said: object, behind: bytes | None) -> Change:
    if said is None:
        return Change(part=part)
    if isinstance(said, Mapping):
        keys = set(said)
        if part == "picture" and keys in ({"kept"}, {"under"}):
            name = next(iter(said.values()))
            if not isinstance(name, str):
                raise RequestError(f"got {str(name)[:40]} for a kept picture; expected its id")
            return Change(part=part, **said)
        whole = not keys
        if whole or _REGION <= keys <= _REGION | {"raw"}:
            if behind is None:
                raise UnreadableError(
                    f"got a {part} without its bytes; expected a binary message that ends in them"
                )
            return Change(part=part, data=behind, region=None if whole else Region(**said))
    raise UnreadableError(
        f"got another {part}; expected null to take it away, {{}} for a file, or x, y, width, height and perhaps raw"
        + (", or kept or under with the id of a kept picture" if part == "picture" else "")
    )


def _parse_settings(data: object, prompt: str, complete: Complete) -> tuple[str, LiveSettings, float]:
    """Return the words to paint, once choices are made and tags worn, their settings, and the strength."""
    if not isinstance(data, Mapping) or not set(data) <= _SETTINGS:
        known = ", ".join(sorted(_SETTINGS))
        raise UnreadableError(f"got other settings; expected an object with some of {known}")
    values = dict(data)
    strength = values.pop("strength", STRENGTH)
    if not isinstance(strength, int | float) or isinstance(strength, bool) or not 0.0 <= strength <= 1.0:
        raise RequestError(f"got strength {str(strength)[:40]}; expected 0 to 1")
    if "loras" in values:
        if not isinstance(values["loras"], list) or len(values["loras"]) > 100:
            raise RequestError("got loras that are no list; expected objects with name and weight")
        values["loras"] = tuple(map(LoraUse.from_json, values["loras"]))
    if "layout" in values:
        values["layout"] = layout_from_json(values["layout"])
    completed = complete({**values, "prompt": prompt})
    words = completed.pop("prompt")
    return words, LiveSettings(**completed), float(strength)


def _check_sequence(sequence: Any) -> int:
    return LivePrompt(sequence=sequence, prompt="").sequence

"""One way of painting in a few words, such as turbo:4 or steps:50,lora:ink:0.8, for commands that compare several.

The words are the options of `prima paint`, with a colon before the value; commas part them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from allaprima.core.errors import RequestError
from allaprima.core.infotext import parse_size
from allaprima.core.request import LoraUse

_NUMBERS: Final = {"steps": int, "guidance": float}
_LOADING: Final = ("base", "vae", "precision", "quantize", "cache")
_WORDS: Final = ("turbo", "plain", "lora", "size", "schedule", *_NUMBERS, *_LOADING)
_EXAMPLE: Final = "such as turbo:4, plain:50, lora:ink:0.8 or steps:8,guidance:3"


@dataclass(frozen=True, kw_only=True)
class Specification:
    """What differs from a picture painted with no option at all."""

    text: str
    """As it was written."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The fields of a request."""
    turbo: bool | None = None
    """Whether turbo is worn: True demands it, False forbids it, None leaves it to the policy."""
    loading: dict[str, str] = field(default_factory=dict)
    """Options of `Painter.load`: base, vae, precision, quantize, cache."""

    @classmethod
    def parse(cls, text: str) -> Specification:
        """Return what `text` means; RequestError if it means nothing."""
        fields: dict[str, Any] = {}
        loading: dict[str, str] = {}
        loras: list[LoraUse] = []
        turbo: bool | None = None
        for part in (part.strip() for part in text.split(",")):
            word, colon, value = part.partition(":")
            if word not in _WORDS:
                raise RequestError(
                    f"got {part[:80]!r}, which is neither a folder nor a way of painting; expected {_EXAMPLE}"
                )
            if word in ("turbo", "plain"):
                if turbo is not None:
                    raise RequestError(f"got turbo or plain twice in {text[:80]!r}; expected it once")
                turbo = word == "turbo"
                word = "steps"
                if not colon:
                    continue
            if not value:
                raise RequestError(f"got {part[:80]!r} without a value; expected {_EXAMPLE}")
            if word == "lora":
                loras.append(parse_lora(value))
                continue
            target: dict[str, Any] = loading if word in _LOADING else fields
            if word in target:
                raise RequestError(f"got {word} twice in {text[:80]!r}; expected it once")
            target[word] = _to_number(word, value) if word in _NUMBERS else value
        if "size" in fields:
            fields["width"], fields["height"] = parse_size(fields.pop("size"))
        if loras:
            fields["loras"] = tuple(loras)
        return cls(text=text, fields=fields, turbo=turbo, loading=loading)


def parse_lora(text: str) -> LoraUse:
    """Return the LoRA that NAME or NAME:WEIGHT means."""
    name, colon, weight = text.rpartition(":")
    if not colon:
        return LoraUse(name=text)
    try:
        number = float(weight)
    except ValueError:
        message = f"got --lora {text[:80]!r}; expected NAME or NAME:WEIGHT, such as ink:0.8"
        raise RequestError(message) from None
    return LoraUse(name=name, weight=number)


def _to_number(word: str, value: str) -> float:
    try:
        return float(value) if _NUMBERS[word] is float else int(value)
    except ValueError:
        raise RequestError(f"got {word}:{value[:40]}; expected a number, {_EXAMPLE}") from None

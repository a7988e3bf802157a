"""Everything one picture depends on.

The same request gives the same picture on the same machine, and it is what a picture file carries:

    request = GenerationRequest(prompt="a cat on a rooftop at sunset", seed=7)
    assert GenerationRequest.from_json(request.to_json()) == request
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from allaprima.core.errors import RequestError

Quality = Literal["high", "medium"]

MAX_PROMPT_CHARS = 1000
MAX_STEPS = 1000
MAX_GUIDANCE = 30.0
MAX_SEED = 2**63 - 1
MAX_SIDE_PX = 4096
MAX_BASE_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One picture, asked for. Raises RequestError for values outside the ranges below."""

    prompt: str
    """What to paint, in words: 1 to 1000 characters, no control characters."""
    negative_prompt: str = ""
    """What guidance leads away from; used only when guidance is not 1."""
    width: int = 256
    """Pixels, 1 to 4096; a base narrows this to the sizes it can paint."""
    height: int = 256
    """Pixels, 1 to 4096."""
    steps: int = 50
    """Steps of the sampler, 1 to 1000."""
    guidance: float = 4.0
    """Classifier-free guidance, 0 to 30; 1 takes the prompt alone and halves the work."""
    seed: int = 0
    """Seed of the noise, 0 to 2**63 - 1."""
    base: str = "vignette"
    """The name of the base model."""
    quality: Quality = "high"
    """How finely JPEG and WebP files are written; PNG is always exact."""

    def __post_init__(self) -> None:
        """Refuse a value that is out of range, naming it."""
        _check_text("prompt", self.prompt, MAX_PROMPT_CHARS)
        if not self.prompt.strip():
            raise RequestError("the prompt is empty; expected words that say what to paint")
        _check_text("negative prompt", self.negative_prompt, MAX_PROMPT_CHARS)
        _check_whole("width", self.width, 1, MAX_SIDE_PX)
        _check_whole("height", self.height, 1, MAX_SIDE_PX)
        _check_whole("steps", self.steps, 1, MAX_STEPS)
        _check_whole("seed", self.seed, 0, MAX_SEED)
        _check_guidance(self.guidance)
        object.__setattr__(self, "guidance", float(self.guidance))
        _check_text("base", self.base, MAX_BASE_CHARS)
        if not self.base.strip():
            raise RequestError("the base is empty; expected a name such as vignette")
        if self.quality not in get_args(Quality):
            raise RequestError(f"got quality {_short(self.quality)}; expected high or medium")

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain values that `from_json` takes back unchanged."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GenerationRequest:
        """Return the request in `data`; missing keys take their defaults.

        Raises:
            RequestError: a key is unknown, the prompt is missing, or a value is out of range.
        """
        if not isinstance(data, Mapping):
            raise RequestError(
                f"got a request of type {type(data).__name__}; expected an object with a prompt"
            )
        known = [field.name for field in fields(cls)]
        unknown = [key for key in data if key not in known]
        if unknown:
            raise RequestError(
                f"got a request with unknown key {_short(unknown[0])}; expected {', '.join(known)}"
            )
        if "prompt" not in data:
            raise RequestError("got a request without a prompt; expected the key prompt")
        return cls(**data)


def _check_text(name: str, value: object, max_chars: int) -> None:
    if not isinstance(value, str):
        raise RequestError(f"got {name} {_short(value)}; expected text")
    if len(value) > max_chars:
        raise RequestError(f"got a {name} of {len(value):,} characters; expected at most {max_chars:,}")
    # Cc are control characters (a terminal would obey them), Cs lone surrogates (no file can hold them).
    for position, char in enumerate(value):
        if unicodedata.category(char) in ("Cc", "Cs"):
            raise RequestError(
                f"got a {name} with the control character U+{ord(char):04X} at position {position}; "
                "expected plain text on one line"
            )


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    # bool is an int to Python, but `true` steps in a JSON request is a mistake.
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"got {name} {_short(value)}; expected a whole number from {low} to {high}")
    if not low <= value <= high:
        raise RequestError(f"got {name} {_short(value)}; expected {low} to {high}")


def _check_guidance(value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MAX_GUIDANCE:  # type: ignore[operator]  # NaN is in no range
        raise RequestError(f"got guidance {_short(value)}; expected a number from 0 to {MAX_GUIDANCE:g}")


def _short(value: object, max_chars: int = 40) -> str:
    """Return `value` for a message: whole when short, never pages of it."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."

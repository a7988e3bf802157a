"""Everything one picture depends on.

The same request gives the same picture on the same machine, and it is what a picture file carries:

    request = GenerationRequest(prompt="a cat on a rooftop at sunset", seed=7)
    assert GenerationRequest.from_json(request.to_json()) == request
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from allaprima.core.base_names import shown_name
from allaprima.core.errors import RequestError
from allaprima.core.layout import Layout
from allaprima.core.layout_json import check_layout, layout_from_json, layout_to_json
from allaprima.core.reference import Reference, check_references, references_from_json
from allaprima.core.request_values import (
    check_text,
    check_whole,
    is_number,
    one_line,
    plain_whole,
    shorten,
)

Quality = Literal["high", "medium"]

MAX_PROMPT_CHARS = 10_000
MAX_STEPS = 1000
MAX_GUIDANCE = 30.0
MAX_SEED = 2**63 - 1
MAX_SIDE_PX = 4096
MAX_BASE_CHARS = 1000
MAX_SCHEDULE_CHARS = 40
MAX_LORA_CHARS = 200
MAX_LORAS = 32
MAX_LORA_WEIGHT = 10.0

_TEMPLATES = ("template", "negative_template")
LORA_TAG = re.compile(r"<(?:lora|lyco):[^<>]*>")
"""How other programs name a LoRA inside a prompt; A1111 knows LoCon, LoHa and LoKr by the older tag too."""


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """A LoRA by its name and how strongly it acts. Raises RequestError for values outside the ranges."""

    name: str
    """Its name in the folder of LoRAs: 1 to 200 characters, none of them < > : or a control character."""
    weight: float = 1.0
    """-10 to 10; 1 as trained, 0 as if absent, negative away from it."""

    def __post_init__(self) -> None:
        check_text("LoRA name", self.name, MAX_LORA_CHARS, field="loras")
        if not self.name.strip() or set(self.name) & set("<>:"):
            raise RequestError(
                f"got LoRA name {shorten(self.name)}; expected a name without < > and :", field="loras"
            )
        if not is_number(self.weight, -MAX_LORA_WEIGHT, MAX_LORA_WEIGHT):
            raise RequestError(
                f"got weight {shorten(self.weight)} for LoRA {self.name[:40]!r}; expected -10 to 10",
                field="loras",
            )
        object.__setattr__(self, "weight", float(self.weight))

    @classmethod
    def from_json(cls, data: object) -> LoraUse:
        """Return the LoRA in an object with the keys name and, perhaps, weight."""
        if not isinstance(data, Mapping) or not {"name"} <= set(data) <= {"name", "weight"}:
            raise RequestError(
                f"got LoRA {shorten(data)}; expected an object with name and weight", field="loras"
            )
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One picture, asked for. Raises RequestError for values outside the ranges below."""

    prompt: str
    """What to paint, in words: 1 to 10,000 characters. Line breaks and tabs become spaces; other control characters
    are refused."""
    negative_prompt: str = ""
    """What guidance leads away from, in such words; used only when guidance is not 1."""
    width: int = 256
    """Pixels, 1 to 4096; a base narrows this to the sizes it can paint."""
    height: int = 256
    """Pixels, 1 to 4096."""
    steps: int = 50
    """Steps of the sampler, 1 to 1000."""
    guidance: float = 4.0
    """Classifier-free guidance, 0 to 30; 1 and less take the prompt alone and halve the work."""
    seed: int = 0
    """Seed of the noise, 0 to 2**63 - 1."""
    base: str = "vignette"
    """The name of the base model; of a path only the last part is kept, see `base_names.shown_name`."""
    quality: Quality = "high"
    """How finely JPEG and WebP files are written (PNG is exact), and by which decoder, of a base that has two."""
    schedule: str | None = None
    """The name of a schedule that the base knows, such as lightning; None for the base's own."""
    loras: tuple[LoraUse, ...] = ()
    """LoRAs that act on the base, at most 32; the weights of one that is named twice are added."""
    references: tuple[Reference, ...] = ()
    """Pictures to look at, at most 10, in bases that do; in JSON and in files their digests alone."""
    layout: Layout = ()
    """What stands where, from back to front, at most 64 things, in bases that read it. Subjects that all have the
    number 0 are counted from the left."""
    complete_layout: bool = True
    """Whether what the layout leaves open is completed from the seed, in bases that read one."""
    template: str = ""
    """The words whose choices the prompt was made of (see `wildcards`); "" where it was written as it is. The
    picture does not depend on it."""
    negative_template: str = ""
    """The same of the negative prompt."""

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt", *_TEMPLATES):
            object.__setattr__(self, name, one_line(getattr(self, name)))
        for name in _TEMPLATES:
            check_text(name.replace("_", " "), getattr(self, name), MAX_PROMPT_CHARS)
        check_text("prompt", self.prompt, MAX_PROMPT_CHARS)
        if not self.prompt.strip():
            raise RequestError("the prompt is empty; expected words that say what to paint", field="prompt")
        if tag := LORA_TAG.search(self.prompt):
            raise RequestError(
                f"got {shorten(tag[0])} inside the prompt; expected it among the LoRAs of the request",
                field="prompt",
            )
        check_text("negative prompt", self.negative_prompt, MAX_PROMPT_CHARS)
        for name in ("width", "height", "steps", "seed"):
            object.__setattr__(self, name, plain_whole(getattr(self, name)))
        check_whole("width", self.width, 1, MAX_SIDE_PX)
        check_whole("height", self.height, 1, MAX_SIDE_PX)
        check_whole("steps", self.steps, 1, MAX_STEPS)
        check_whole("seed", self.seed, 0, MAX_SEED)
        if not is_number(self.guidance, 0, MAX_GUIDANCE):
            raise RequestError(
                f"got guidance {shorten(self.guidance)}; expected a number from 0 to {MAX_GUIDANCE:g}",
                field="guidance",
            )
        object.__setattr__(self, "guidance", float(self.guidance))
        check_text("base", self.base, MAX_BASE_CHARS)
        if not self.base.strip():
            raise RequestError("the base is empty; expected a name such as vignette", field="base")
        object.__setattr__(self, "base", shown_name(self.base))
        if self.quality not in get_args(Quality):
            raise RequestError(
                f"got quality {shorten(self.quality)}; expected high or medium", field="quality"
            )
        if self.schedule is not None:
            check_text("schedule", self.schedule, MAX_SCHEDULE_CHARS)
            if not self.schedule.strip():
                raise RequestError(
                    "the schedule is empty; expected a name such as lightning", field="schedule"
                )
        _check_loras(self.loras)
        object.__setattr__(self, "loras", _added_up(self.loras))
        check_references(self.references)
        object.__setattr__(self, "layout", check_layout(self.layout))
        if not isinstance(self.complete_layout, bool):
            raise RequestError(
                f"got complete_layout {shorten(self.complete_layout)}; expected true or false",
                field="complete_layout",
            )

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain values that `from_json` takes back unchanged, but for references' pixels."""
        values = {**vars(self), "loras": [asdict(lora) for lora in self.loras]}
        for name in ("references", "layout", "complete_layout"):
            del values[name]
        for name in _TEMPLATES:
            if not values[name]:
                del values[name]
        if self.references:
            values["references"] = [one.digest for one in self.references]
        if self.layout:
            values["layout"] = layout_to_json(self.layout)
        return values if self.complete_layout else {**values, "complete_layout": False}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GenerationRequest:
        """Return the request in `data`; missing keys take their defaults.

        Raises:
            RequestError: a key is unknown, the prompt is missing, or a value is out of range.
        """
        return cls(**fields_from_json(data))


def fields_from_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that `data` holds; of their values only lists are checked yet."""
    if not isinstance(data, Mapping):
        raise RequestError(f"got a request of type {type(data).__name__}; expected an object with a prompt")
    known = [field.name for field in fields(GenerationRequest)]
    unknown = [key for key in data if key not in known]
    if unknown:
        raise RequestError(
            f"got a request with unknown key {shorten(unknown[0])}; expected {', '.join(known)}"
        )
    if "prompt" not in data:
        raise RequestError("got a request without a prompt; expected the key prompt")
    values = dict(data)
    if "loras" in values:
        values["loras"] = _loras_from_json(values["loras"])
    if "references" in values:
        values["references"] = references_from_json(values["references"])
    if "layout" in values:
        values["layout"] = layout_from_json(values["layout"])
    return values


def _loras_from_json(data: object) -> tuple[LoraUse, ...]:
    if not isinstance(data, list | tuple):
        raise RequestError(f"got loras {shorten(data)}; expected a list", field="loras")
    return tuple(LoraUse.from_json(item) for item in data[: MAX_LORAS + 1])


def _check_loras(loras: object) -> None:
    if not isinstance(loras, tuple) or not all(isinstance(lora, LoraUse) for lora in loras):
        raise RequestError(f"got loras {shorten(loras)}; expected a tuple of LoraUse", field="loras")
    if len(loras) > MAX_LORAS:
        raise RequestError(f"got more than {MAX_LORAS} LoRAs; expected at most {MAX_LORAS}", field="loras")


def _added_up(loras: tuple[LoraUse, ...]) -> tuple[LoraUse, ...]:
    """Return each LoRA once, where it is named first, with the sum of its weights, as A1111 counts them."""
    weights: dict[str, float] = {}
    for lora in loras:
        weights[lora.name] = weights.get(lora.name, 0.0) + lora.weight
    if len(weights) == len(loras):
        return loras
    return tuple(LoraUse(name=name, weight=weight) for name, weight in weights.items())

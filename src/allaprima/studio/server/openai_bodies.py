"""What OpenAI's clients send to paint pictures, under the names of its own API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from allaprima.core.infotext import parse_size
from allaprima.core.layout_json import layout_from_json
from allaprima.core.reference import Reference
from allaprima.core.request import LoraUse, Quality
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.studio import BaseCard, Order, Studio

MAX_N = 10
_OPENAIS = ("dall-e", "gpt-image", "chatgpt-image")
"""Many programs send OpenAI's own names whatever the server; they get the base that is there."""
_FINE = 90  # output_compression from which the finer of our two qualities is nearer


class LoraField(BaseModel):
    """A LoRA by name."""

    model_config = ConfigDict(extra="forbid")
    name: str
    weight: float = 1.0


class ImagesBody(BaseModel):
    """What a client asks for."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prompt: str
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MAX_N)] | None = 1
    size: str | None = "auto"
    quality: Literal["auto", "standard", "hd", "low", "medium", "high", "xhigh", "max"] | None = "auto"
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    stream: bool | None = False
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = 0
    background: Literal["auto", "opaque"] | None = "auto"
    moderation: Literal["auto", "low"] | None = None
    style: Literal["vivid", "natural"] | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    safety_identifier: Annotated[str, Field(max_length=1000)] | None = None
    seed: int | None = None
    steps: Annotated[int | None, Field(validation_alias=AliasChoices("steps", "num_inference_steps"))] = None
    guidance: Annotated[
        float | None, Field(validation_alias=AliasChoices("guidance", "guidance_scale", "true_cfg_scale"))
    ] = None
    negative_prompt: str | None = None
    schedule: str | None = None
    loras: list[LoraField] = Field(default_factory=list, max_length=32)
    layout: list[Any] | None = None
    """What stands where, see `core.layout_json`."""
    complete_layout: bool | None = None
    turbo: bool | None = True


class EditsBody(ImagesBody):
    """What a client asks for that has a picture painted over; the picture is read beside it."""

    strength: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    input_fidelity: Literal["high", "low"] | None = None


def to_order(body: ImagesBody, studio: Studio, references: tuple[Reference, ...] = ()) -> Order:
    """Return what `body` asks for, with pictures to look at; ProblemError for a model that is not here."""
    width, height = (None, None) if body.size in (None, "auto", "") else parse_size(str(body.size))
    fields: dict[str, Any] = {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt or "",
        "width": width,
        "height": height,
        "steps": body.steps,
        "guidance": body.guidance,
        "seed": body.seed,
        "base": base_of(body, studio).name,
        "quality": _quality(body),
        "schedule": body.schedule,
        "references": references or None,
        "layout": None if body.layout is None else layout_from_json(body.layout),
        "complete_layout": body.complete_layout,
        "loras": tuple(LoraUse(name=lora.name, weight=lora.weight) for lora in body.loras),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    # Taken, for OpenAI's clients send it by themselves; nothing here depends on it.
    ignored = ("style",) if body.style is not None else ()
    return studio.make_order(given, body.n or 1, turbo=body.turbo is not False, ignored=ignored)


def answers_with_urls(body: ImagesBody) -> bool:
    """Return whether pictures are to be answered as addresses, as OpenAI does for its older models' names."""
    if body.response_format is None:
        return (body.model or "").startswith("dall-e")
    return body.response_format == "url"


def get_model(name: str, studio: Studio) -> BaseCard:
    """Return the base that a client calls a model; ProblemError if there is none of that name."""
    if name not in studio.bases and name.startswith(_OPENAIS):
        return studio.first_base
    if name not in studio.bases:
        message = f"there is no model {name[:80]!r}; GET /v1/models lists them"
        raise ProblemError(404, message, code="model_not_found", param="model")
    return studio.bases[name]


def base_of(body: ImagesBody, studio: Studio) -> BaseCard:
    """Return the base that paints for `body`; ProblemError if there is none of that name."""
    return get_model(body.model, studio) if body.model else studio.first_base


def remark_on_model(name: str | None, base: str) -> tuple[str, ...]:
    """Return a sentence if a client asked for a model of OpenAI's and `base` painted."""
    return (f"{name} is not here; {base} painted",) if name and name != base else ()


def _quality(body: ImagesBody) -> Quality:
    if body.output_compression is not None:
        return "high" if body.output_compression >= _FINE else "medium"
    return "medium" if body.quality in ("low", "medium") else "high"

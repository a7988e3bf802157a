"""What OpenAI's clients send to paint pictures, under the names of its own API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from allaprima.core.infotext import parse_size
from allaprima.core.request import GenerationRequest, LoraUse, Quality
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.studio import BaseCard, Studio, one_line

MAX_N = 10
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
    response_format: Literal["b64_json", "url"] | None = "b64_json"
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
    turbo: bool | None = True


class EditsBody(ImagesBody):
    """What a client asks for that has a picture painted over; the picture is read beside it."""

    strength: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    input_fidelity: Literal["high", "low"] | None = None


def to_requests(body: ImagesBody, studio: Studio) -> list[GenerationRequest]:
    """Return the pictures that `body` asks for; ProblemError for a model that is not here."""
    width, height = (None, None) if body.size in (None, "auto", "") else parse_size(str(body.size))
    fields = {
        "prompt": one_line(body.prompt),
        "negative_prompt": one_line(body.negative_prompt or ""),
        "width": width,
        "height": height,
        "steps": body.steps,
        "guidance": body.guidance,
        "seed": body.seed,
        "base": _base(body.model, studio).name,
        "quality": _quality(body),
        "schedule": body.schedule,
        "loras": tuple(LoraUse(name=lora.name, weight=lora.weight) for lora in body.loras),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return studio.make_requests(given, body.n or 1, turbo=body.turbo is not False)


def get_model(name: str, studio: Studio) -> BaseCard:
    """Return the base that a client calls a model; ProblemError if there is none of that name."""
    if name not in studio.bases:
        message = f"there is no model {name[:80]!r}; GET /v1/models lists them"
        raise ProblemError(404, message, code="model_not_found", param="model")
    return studio.bases[name]


def _base(name: str | None, studio: Studio) -> BaseCard:
    # Many programs send OpenAI's own names whatever the server; they get the base that is there.
    if not name or name.startswith(("dall-e", "gpt-image", "chatgpt-image")):
        return studio.first_base
    return get_model(name, studio)


def _quality(body: ImagesBody) -> Quality:
    if body.output_compression is not None:
        return "high" if body.output_compression >= _FINE else "medium"
    return "medium" if body.quality in ("low", "medium") else "high"

"""What A1111's clients send, under the names of its own API (`modules/api/models.py` of stable-diffusion-webui).

Its clients send many fields at values that ask for nothing. Those are fine. A field that asks for another kind of
picture is refused by name; one that asks for less, or an unknown one, is listed in the answer's `info` as ignored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from allaprima.core.infotext import fields_of_settings, is_lost, split_infotext
from allaprima.core.layout_json import layout_from_json
from allaprima.core.turbo import names_turbo
from allaprima.studio.server.a1111_names import (
    find_schedule,
    is_automatic,
    is_own_sampler,
    is_sampler,
    is_scheduler,
    plain_checkpoint,
)
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.studio import BaseCard, Order, Studio

CHECKPOINT = "sd_model_checkpoint"
FILL = 0
"""The `inpainting_fill` that begins with the colours around what is painted."""
MASK_BLUR_PX = 4
MANY_STEPS = 10
"""From so many steps on A1111's schedulers are followed: turbo and what was distilled know their own levels alone."""
MAX_BLUR_PX = 256
_NOT_HERE = frozenset({
    "alwayson_scripts", "mask", "refiner_checkpoint", "script_name", "tiling",
})  # fmt: skip
_NEUTRAL = frozenset({
    "comments", "denoising_strength", "do_not_save_grid", "enable_hr", "firstphase_height", "firstphase_width",
    "force_task_id", "hr_cfg", "hr_checkpoint_name", "hr_negative_prompt", "hr_prompt", "hr_resize_x", "hr_resize_y",
    "hr_sampler_name", "hr_scale", "hr_scheduler", "hr_second_pass_steps", "hr_upscaler", "image_cfg_scale",
    "include_init_images", "inpaint_full_res", "inpaint_full_res_padding", "inpainting_fill",
    "inpainting_mask_invert", "mask_blur", "mask_blur_x", "mask_blur_y", "mask_round", "refiner_switch_at",
    "save_images", "script_args",
})  # fmt: skip
"""Fields that mean nothing as long as nothing of `_NOT_HERE` is asked for."""
_USUAL: dict[str, tuple[object, ...]] = {
    "clip_skip": (0, 1), "disable_extra_networks": (False,), "eta": (0,),
    "hr_additional_modules": ([],), "restore_faces": (False,), "styles": ([],),
    "initial_noise_multiplier": (1,), "latent_mask": ("",), "override_settings_restore_afterwards": (True,),
    "s_churn": (0,), "s_min_uncond": (0,), "s_noise": (1,), "s_tmax": (0,), "s_tmin": (0,),
    "seed_resize_from_h": (-1, 0), "seed_resize_from_w": (-1, 0), "subseed": (-1,), "subseed_strength": (0,),
}  # fmt: skip
"""Fields that are not honoured, with the values, besides null, at which they ask for nothing."""
_USUAL_OVERRIDES: dict[str, tuple[object, ...]] = {
    "CLIP_stop_at_last_layers": (0, 1), "ENSD": (0,), "eta_noise_seed_delta": (0,), "face_restoration_model": (),
    "randn_source": ("CPU",), "samples_format": ("png",), "sd_vae": ("", "Automatic", "None"),
    "forge_additional_modules": ([],), "sd_model_hash": ("",),
}  # fmt: skip
_BY_FIELD = {
    "steps": "steps", "guidance": "cfg_scale", "seed": "seed", "schedule": "scheduler", "width": "width",
    "height": "height", "layout": "layout", "complete_layout": "complete_layout",
}  # fmt: skip
"""Fields of a request that an infotext may say, to the ones of a body."""


class TextToImage(BaseModel):
    """The body of txt2img."""

    model_config = ConfigDict(extra="allow")

    prompt: str = ""
    negative_prompt: str | None = ""
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = -1
    sampler_name: str | None = None
    sampler_index: str | None = None
    scheduler: str | None = None
    batch_size: int = Field(default=1, ge=1, le=1000)
    n_iter: int = Field(default=1, ge=1, le=1000)
    override_settings: dict[str, Any] | None = None
    turbo: bool = True
    layout: list[Any] | None = None
    """What stands where, see `core.layout_json`."""
    complete_layout: bool | None = None
    send_images: bool = True
    do_not_save_samples: bool = False
    infotext: str = ""

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, body: Any) -> Any:
        """Drop what is null: many clients send so what they do not set."""
        return (
            {key: value for key, value in body.items() if value is not None}
            if isinstance(body, dict)
            else body
        )

    def echo(self) -> dict[str, Any]:
        """Return what the answer repeats of the body: no pictures, no unknown fields and nothing nested."""
        echoed = self.model_dump(
            include={*type(self).model_fields} - {"init_images", "mask", "override_settings", "layout"}
        )
        if self.override_settings is not None:
            settings = self.override_settings.items()
            flat = {key: value for key, value in settings if not isinstance(value, dict | list)}
            echoed["override_settings"] = flat
        return echoed

    @model_validator(mode="after")
    def _can_be_echoed(self) -> Self:
        """Refuse text that no answer can repeat: JSON may hold half a character, UTF-8 may not."""
        try:
            json.dumps(self.echo(), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("got text with a lone surrogate; expected whole characters") from None
        return self


class ImageToImage(TextToImage):
    """The body of img2img."""

    init_images: list[str] = Field(min_length=1)
    """Pictures in base64. Of several each is painted over once, or `n_iter` times."""
    denoising_strength: float = Field(default=0.75, ge=0.0, le=1.0)
    resize_mode: int = Field(default=0, ge=0, le=2)
    mask: str | None = None
    """In base64; see `a1111_pictures`."""
    mask_blur: int | None = Field(default=None, ge=0, le=MAX_BLUR_PX)
    mask_blur_x: int | None = Field(default=None, ge=0, le=MAX_BLUR_PX)
    mask_blur_y: int | None = Field(default=None, ge=0, le=MAX_BLUR_PX)
    mask_round: bool | None = True
    """Not honoured: a mask's soft edge is soft in the latents too."""
    inpainting_mask_invert: int | None = Field(default=0, ge=0, le=1)
    inpainting_fill: int | None = Field(default=FILL, ge=0, le=3)
    """What is painted begins as the colours around it (0) or as it is (1); 2 and 3, noise and nothing, count as 1."""
    inpaint_full_res: bool | None = True
    """Show the base a window around what is painted, at its full size, rather than the whole picture."""
    inpaint_full_res_padding: int | None = Field(default=0, ge=0, le=4096)
    """Pixels around what is painted in that window."""

    @model_validator(mode="after")
    def _batch_is_its_images(self) -> Self:
        """Paint as many pictures in a batch as there are images, if those are several, as A1111 does."""
        count = len(self.init_images)
        if count > self.batch_size:
            raise ValueError(f"bad number of images passed: {count}; expecting {self.batch_size} or less")
        self.batch_size = self.batch_size if count == 1 else count
        return self

    @property
    def blur(self) -> tuple[int, int]:
        """How far the mask is blurred, across and down, in pixels."""
        both = MASK_BLUR_PX if self.mask_blur is None else self.mask_blur
        across, down = (both if one is None else one for one in (self.mask_blur_x, self.mask_blur_y))
        return across, down

    def unheard(self) -> set[str]:
        """Return what it says about a mask, or about a second pass, that is not honoured."""
        said = {"mask_round": self.mask_round is False, "inpainting_fill": (self.inpainting_fill or 0) > 1}
        hires = {"enable_hr"} if (self.model_extra or {}).get("enable_hr") else set[str]()
        return hires | {name for name, is_said in said.items() if is_said and self.mask}


def to_order(body: TextToImage, studio: Studio) -> Order:
    """Return what `body` asks for; ProblemError for something that is not here."""
    body, unsaid = _with_infotext(body, studio)
    _refuse_what_is_not_here(body)
    count, most = body.batch_size * body.n_iter, studio.settings.caps.count
    if count > most:
        raise ProblemError(422, f"got {count} pictures (batch_size times n_iter); expected at most {most}")
    base = _base(body, studio)
    fields = {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt or "",
        "width": body.width or None,
        "height": body.height or None,
        "steps": body.steps or None,
        "guidance": body.cfg_scale,
        "seed": None if body.seed is None or body.seed < 0 else body.seed,
        "base": base.name,
        "schedule": _find_schedule(body, base),
        "layout": None if body.layout is None else layout_from_json(body.layout),
        "complete_layout": body.complete_layout,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    order = studio.make_order(given, count, turbo=body.turbo)
    schedule = _many_steps_schedule(body, base, order)
    if schedule is not None:
        order = replace(order, requests=[replace(request, schedule=schedule) for request in order.requests])
    ignored = _ignored_fields(body, base, follows=schedule is not None)
    return replace(order, ignored=(*ignored, *unsaid))


def _many_steps_schedule(body: TextToImage, base: BaseCard, order: Order) -> str | None:
    """Return the schedule of `base` that stands for A1111's scheduler; None for few steps, which have their own."""
    first = order.requests[0]
    name = find_schedule(body.scheduler, body.sampler_name or body.sampler_index)
    few = first.schedule is not None or first.steps < MANY_STEPS or names_turbo(first.loras)
    return None if few or name not in base.all_schedules else name


def _ignored_fields(body: TextToImage, base: BaseCard, *, follows: bool) -> list[str]:
    """Return the fields of `body` that are not honoured, for the answer to list; `follows` if its scheduler is."""
    extra = (body.model_extra or {}).items()
    unheard = {name for name, value in extra if name not in _USUAL or value not in (None, *_USUAL[name])}
    overrides = ignored_settings(body.override_settings or {}, but={CHECKPOINT})
    overridden = {f"override_settings.{key}" for key in overrides}
    rules = {name for name in ("sampler_name", "sampler_index") if not is_own_sampler(getattr(body, name))}
    if body.sampler_name:  # the older name counts only where the newer one is left out
        rules.discard("sampler_index")
    if not follows and not is_automatic(body.scheduler) and _find_schedule(body, base) is None:
        rules.add("scheduler")
    about_mask = body.unheard() if isinstance(body, ImageToImage) else set()
    return sorted(unheard - _NOT_HERE - _NEUTRAL | overridden | rules | about_mask)[:20]


def ignored_settings(settings: Mapping[str, Any], *, but: Collection[str]) -> list[str]:
    """Return which of A1111's settings are not honoured, `but` those that are; not the ones that ask for nothing."""
    asked = {name: value for name, value in settings.items() if name not in but}
    return sorted(
        name for name, value in asked.items() if value not in (None, *_USUAL_OVERRIDES.get(name, ()))
    )


def _find_schedule(body: TextToImage, base: BaseCard) -> str | None:
    """Return the schedule of `base` that `body` names; None where it names one of A1111's own."""
    name = body.scheduler
    if name is None or is_automatic(name):
        return None
    return None if is_scheduler(name) and name not in base.schedules else name


def _with_infotext(body: TextToImage, studio: Studio) -> tuple[TextToImage, list[str]]:
    """Return `body` with what its infotext says where it says nothing itself, and what of that is not honoured."""
    if not body.infotext.strip():
        return body, []
    prompt, negative, settings = split_infotext(body.infotext)
    fields, bad = fields_of_settings(settings)
    said: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative}
    said |= {_BY_FIELD[name]: value for name, value in fields.items() if name in _BY_FIELD}
    unsaid = {*bad, *(name for name, value in settings.items() if is_lost(name, value))}
    chosen = (body.override_settings or {}).get(CHECKPOINT)
    if (model := fields.get("base")) in studio.bases and not chosen:
        overrides = {**(body.override_settings or {}), CHECKPOINT: model}
        body = body.model_copy(update={"override_settings": overrides})
    elif model is not None and not chosen:
        unsaid.add("Model")
    left_open = {name: value for name, value in said.items() if name not in body.model_fields_set}
    return body.model_copy(update=left_open), [f"infotext.{name[:40]}" for name in sorted(unsaid)[:20]]


def _refuse_what_is_not_here(body: TextToImage) -> None:
    extra = body.model_extra or {}
    for name in sorted(_NOT_HERE):
        if _asks(name, extra.get(name)):
            raise ProblemError(422, f"{name} is not something this studio does; leave it out", param=name)
    # As A1111 reads them: the older name counts where the newer one is left out.
    field = "sampler_name" if body.sampler_name else "sampler_index"
    name = getattr(body, field)
    if not is_own_sampler(name) and not is_sampler(name):
        # What A1111 says, and what to do, which it does not say.
        message = f"Sampler not found: got {str(name)[:60]!r}; leave it out, or name one that A1111 has"
        raise ProblemError(404, message, code="sampler", param=field)


def _asks(name: str, value: object) -> bool:
    """Return whether a field of `_NOT_HERE` asks for something: a script that is switched off does not."""
    if name == "alwayson_scripts" and isinstance(value, dict):
        return any(_is_on(script) for script in value.values())
    if name == "refiner_checkpoint" and isinstance(value, str):
        return value.strip().lower() not in ("", "none")
    return bool(value)


def _is_on(script: object) -> bool:
    """Return whether a script's arguments switch it on: they begin with a false one, or are units that are off."""
    args = script.get("args") if isinstance(script, dict) else script
    if not isinstance(args, list) or not args:
        return bool(args)
    return args[0] is not False and any(
        not isinstance(unit, dict) or unit.get("enabled", True) is not False for unit in args
    )


def get_base(name: object, studio: Studio) -> BaseCard:
    """Return the base that a client calls a checkpoint; ProblemError if there is none of that name."""
    # Clients send what a list showed them: A1111's shows endings and hashes too.
    for one in (name, plain_checkpoint(name)) if isinstance(name, str) else ():
        if one in studio.bases:
            return studio.bases[one]
    message = "there is no such checkpoint; GET /sdapi/v1/sd-models lists them"
    raise ProblemError(404, message, code="model_not_found")


def _base(body: TextToImage, studio: Studio) -> BaseCard:
    chosen = (body.override_settings or {}).get(CHECKPOINT) or studio.a1111_options.get(CHECKPOINT)
    return get_base(chosen, studio) if chosen else studio.first_base

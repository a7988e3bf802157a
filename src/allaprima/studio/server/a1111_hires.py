"""A1111's `enable_hr` on txt2img: what was painted is enlarged and, where the base paints that size, painted over."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from allaprima.core.retouch import MAX_SCALE, SHIPPED_UPSCALER, Operation, Repaint, Upscale
from allaprima.studio.server.a1111_bodies import ImageToImage, TextToImage
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.retouch_routes import upscaler_names
from allaprima.studio.server.studio import BaseCard, Order, Studio

_OTHERS = (
    "hr_cfg",
    "hr_checkpoint_name",
    "hr_negative_prompt",
    "hr_prompt",
    "hr_sampler_name",
    "hr_scheduler",
)
_SECOND_STEPS = "hr_second_pass_steps"


class HiresFix(BaseModel):
    """The fields of txt2img that say how."""

    model_config = ConfigDict(extra="allow")

    enable_hr: bool = False
    hr_scale: float = Field(default=2.0, ge=1.0, le=MAX_SCALE)
    hr_upscaler: str = SHIPPED_UPSCALER
    denoising_strength: float = Field(default=0.7, ge=0.0, le=1.0)
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_second_pass_steps: int = 0

    def operations(self, order: Order, studio: Studio) -> tuple[Operation, ...]:
        """Return what is done to each picture of `order`."""
        if not self.enable_hr:
            return ()
        request = order.requests[0]
        painted, (width, height) = (request.width, request.height), self.size(order)
        scale = max(width / painted[0], height / painted[1])
        if scale > MAX_SCALE:
            raise ProblemError(422, f"got {scale:.1f} times the painted size; expected at most {MAX_SCALE:g}")
        upscaler = self.hr_upscaler if self.hr_upscaler in upscaler_names(studio) else SHIPPED_UPSCALER
        enlarge = (Upscale(scale=scale, upscaler=upscaler),) if scale > 1 else ()
        over = self.denoising_strength > 0 and not studio.bases[request.base].fixed_size
        return (*enlarge, Repaint(strength=self.denoising_strength)) if over else enlarge

    def size(self, order: Order) -> tuple[int, int]:
        """Return the size of the pictures in the end."""
        request = order.requests[0]
        width, height = order.size.asked or (request.width, request.height)
        return round(width * self.hr_scale), round(height * self.hr_scale)

    def unheard(self, base: BaseCard, studio: Studio) -> set[str]:
        """Return the fields that are not honoured."""
        if not self.enable_hr:
            return set()
        extra = self.model_extra or {}
        others = {name for name in _OTHERS if extra.get(name)}
        others |= {_SECOND_STEPS} if self.hr_second_pass_steps else set()
        if self.hr_upscaler not in upscaler_names(studio):
            others.add("hr_upscaler")
        if base.fixed_size and self.hr_scale <= 1:
            others.add("enable_hr")
        if base.fixed_size and self.denoising_strength > 0 and "denoising_strength" in self.model_fields_set:
            others.add("denoising_strength")
        return others


def hires_of(body: TextToImage) -> HiresFix:
    """Return what `body` says about it; nothing of a body that paints over a picture.

    Raises:
        ProblemError: a value is out of range, or the size is asked for in pixels.
    """
    extra = body.model_extra or {}
    if isinstance(body, ImageToImage) or not extra.get("enable_hr"):
        return HiresFix()
    try:
        fix = HiresFix.model_validate(extra)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ProblemError(
            422, f"got {name} {str(first['input'])[:40]!r}: {first['msg']}", param=name
        ) from None
    if fix.hr_resize_x or fix.hr_resize_y:
        message = "hr_resize_x and hr_resize_y are not something this studio does; use hr_scale"
        raise ProblemError(422, message, param="hr_resize_x")
    return fix

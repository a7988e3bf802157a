"""The pipeline of a loaded base: its LoRAs, its encoded prompts, its schedules, and the batches that it denoises.

pipeline = Pipeline(base=base, lora_manager=lora_manager)
prompt, = pipeline.prompts.encode(["a cat"], pipeline.text_state)
schedule = pipeline.schedule(4, 256, 256)
row = DenoiseRow(prompt=prompt.text, seed=7)
batch = pipeline.begin([row], width=256, height=256, schedule=schedule, guidance=1.0)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from torch import Tensor

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.layout import PaintedLayout
from allaprima.core.model_hash import ModelHash
from allaprima.core.painted_lora import PaintedLora
from allaprima.core.picture import Rescues
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.starting_picture import StartingPicture
from allaprima.core.turbo import first_look
from allaprima.paint.contract.base import Base
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.remarks import remarks_on, remarks_on_unused
from allaprima.paint.lora.manager import LoraManager
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow
from allaprima.paint.pipeline.image_cache import ImageCache
from allaprima.paint.pipeline.layout_maps import LayoutCompletion, remarks_on_layout, told_layout
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.pipeline.prompt_cache import CACHE_BYTES, PromptCache
from allaprima.paint.pipeline.reference_latents import remarks_on_references
from allaprima.paint.pipeline.request_filling import find_metadata
from allaprima.paint.pipeline.strength_schedule import CURVE_STEPS, schedule_from
from allaprima.paint.pipeline.trained_schedule import trained_schedule
from allaprima.paint.sampling.guidance import remarks_on_guidance

if TYPE_CHECKING:
    from allaprima.paint.step_cache.first_block import FirstBlockCache


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A loaded base and what is kept beside it."""

    base: Base
    lora_manager: LoraManager | None = None
    """LoRAs for the base; None if it takes none."""
    guarded: bool = True
    """Compute again, in a wider number format, what overflows; without it an overflow is a PaintError."""
    prompt_cache_bytes: int = CACHE_BYTES
    """Encoded prompts that are kept."""

    model_hash: ModelHash | None = None
    """The hash of the base's file; None of a base in several files."""
    waits_for_hash: bool = True
    """Whether a whole picture waits until that is known; without, the first ones may do without."""
    layout_completion: LayoutCompletion | None = None
    """Completes what a request's layout leaves open, but not over an init image, which shows where things stand; None
    to paint layouts as they are given."""
    step_cache: FirstBlockCache | None = None
    """What lets many steps reuse what those before computed; None to compute each in full."""

    @property
    def base_hash(self) -> str | None:
        """What sites and managers know the base's file by, if that is known."""
        return None if self.model_hash is None else self.model_hash.get(wait=self.waits_for_hash)

    @cached_property
    def prompts(self) -> PromptCache:
        """The encoded prompts of the base, for all that is painted on it."""
        return PromptCache(self.base, self.prompt_cache_bytes)

    @cached_property
    def images(self) -> ImageCache:
        """The encoded pictures that are painted over; LoRAs leave the autoencoder alone."""
        return ImageCache()

    @property
    def text_state(self) -> Hashable:
        """The LoRAs on the text encoders: most LoRAs leave these alone, and encoded prompts stay good."""
        networks = [name for name in self.base.modules() if name.startswith("text_encoder")]
        return () if self.lora_manager is None else tuple(map(self.lora_manager.state, networks))

    @property
    def lora_state(self) -> Hashable:
        """The LoRAs on the networks; another after a LoRA's file has changed."""
        return () if self.lora_manager is None else self.lora_manager.state()

    def require_lora_manager(self, loras: Sequence[LoraUse]) -> LoraManager:
        """Return the manager of `loras`.

        Raises:
            RequestError: this base takes none.
        """
        if self.lora_manager is None:
            raise RequestError(
                f"got LoRA {loras[0].name[:80]!r}; expected none, for no folder of LoRAs is open",
                field="loras",
            )
        return self.lora_manager

    def apply_loras(self, loras: Sequence[LoraUse]) -> None:
        """Put `loras` and nothing else on the networks, as their files are now.

        Raises:
            RequestError: this base takes no LoRAs.
            LoraError: a name means no file, or a file cannot be used.
        """
        if loras or self.lora_manager is not None:
            self.require_lora_manager(loras).apply(loras)

    def idle(self, budget_s: float | None = None) -> bool:
        """Use time in which nothing is painted to merge the LoRAs into the weights, where they cost nothing.

        Pictures before and after differ by rounding, so whoever needs equal bits does not call this.

        Args:
            budget_s: seconds that it may take, overrun by at most one layer.

        Returns:
            Whether nothing is left to do.
        """
        return self.lora_manager is None or not self.base.is_resident or self.lora_manager.merge(budget_s)

    def unmerge(self) -> None:
        """Take the LoRAs out of the weights, before these move elsewhere."""
        if self.lora_manager is not None:
            self.lora_manager.rack.unmerge()

    def first_look(self, loras: tuple[LoraUse, ...]) -> tuple[LoraUse, ...]:
        """Return the LoRAs for a first look in one step at a picture that has `loras`."""
        return first_look(loras, self.base.family, partial(find_metadata, self.lora_manager))

    def schedule(
        self,
        steps: int,
        width: int,
        height: int,
        name: str | None = None,
        loras: Sequence[LoraUse] = (),
        *,
        init_image: InitImage | None = None,
    ) -> Schedule:
        """Return the base's schedule, or what the LoRAs were trained at if none is named.

        Over an image of `full_steps` it begins at the level of its strength, and so does the one step that is taken
        where the strength means less than one.

        Raises:
            RequestError: the base has no schedule of that name, or none of so many steps.
            LoraError: a LoRA is not there or cannot be used.
        """
        if init_image is not None and init_image.strength < 1.0:
            shares = not init_image.full_steps
            if not shares or init_image.strength * steps < 1.0:
                curve = self.schedule(CURVE_STEPS, width, height, name, loras)
                return schedule_from(curve, init_image.strength, 1 if shares else steps)
        acting = [use for use in loras if use.weight != 0.0]
        if name is not None or self.lora_manager is None or not acting:
            return self.base.schedule(steps, width, height, name)
        trained = self.lora_manager.loaded_metadata(acting)
        first = next((one for one in trained if one.sigmas or one.schedule is not None), None)
        if first is None or first.sigmas:
            return trained_schedule(self.base.schedule(steps, width, height), trained)
        return self.base.schedule(steps, width, height, first.schedule)

    def schedule_of(self, request: GenerationRequest, init_image: InitImage | None = None) -> Schedule:
        """Return the schedule of a request, see `schedule`."""
        width, height, name = request.width, request.height, request.schedule
        return self.schedule(request.steps, width, height, name, request.loras, init_image=init_image)

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a sentence each, what `request` says and its picture does not honour, or only in another sense.

        Raises:
            LoraError: a LoRA is not there or cannot be used.
        """
        acting = [use for use in request.loras if use.weight != 0.0]
        loras: dict[str, LoraMetadata] = {}
        unused: dict[str, tuple[str, ...]] = {}
        if self.lora_manager is not None and acting:
            loras = dict(
                zip((use.name for use in acting), self.lora_manager.loaded_metadata(acting), strict=True)
            )
            unused = self.lora_manager.unmatched(acting)
        about_loras = remarks_on(request, loras)
        about_guidance = remarks_on_guidance(self.base, request)
        if any("negative prompt" in remark for remark in about_loras):
            about_guidance = tuple(one for one in about_guidance if "negative prompt" not in one)
        return (
            *self.base.remarks(request),
            *remarks_on_unused(unused),
            *about_loras,
            *about_guidance,
            *remarks_on_references(self.base, request),
            *remarks_on_layout(self.base, request),
            *(() if self.step_cache is None else self.step_cache.remarks(request)),
        )

    def painted_loras(self, request: GenerationRequest) -> tuple[PaintedLora, ...]:
        """Return what is known of the LoRAs that have a part in a picture of `request`."""
        acting = [use for use in request.loras if use.weight != 0.0]
        return () if self.lora_manager is None else self.lora_manager.painted(acting)

    def painted_layout(
        self, request: GenerationRequest, init_image: StartingPicture | InitImage | None = None
    ) -> PaintedLayout | None:
        """Return what the base is told stands where; see `layout_maps.told_layout`."""
        completion = self.layout_completion if init_image is None else None
        return told_layout(self.base, request, completion)

    def guard(self, rescues: Rescues | None = None, *, strict: bool = True) -> OverflowGuard:
        """Return the base under a guard, for one picture or for pictures that are painted together."""
        return OverflowGuard(self.base, rescues, active=self.guarded, strict=strict)

    def begin(
        self,
        rows: Sequence[DenoiseRow],
        *,
        width: int,
        height: int,
        schedule: Schedule,
        guidance: float,
        loras: tuple[LoraUse, ...] = (),
        init_image: InitImage | None = None,
        references: tuple[Tensor, ...] = (),
        sketch: bool = False,
        guard: OverflowGuard | None = None,
    ) -> DenoiseBatch:
        """Return a batch to be denoised, which keeps its LoRAs though others are painted between its steps.

        Args:
            rows: the pictures.
            width: pixels.
            height: pixels.
            schedule: the levels to visit.
            guidance: see `effective_guidance`.
            loras: what is put on the networks before each prediction; `apply_loras` has read them.
            init_image: what to paint over.
            references: latents of the pictures to look at.
            sketch: whether a base's sketch of that will do, for a first look.
            guard: None for one that leaves a row that stays bad to its own decoding.
        """
        manager = self.lora_manager
        return DenoiseBatch(
            self.guard(strict=False) if guard is None else guard,
            rows,
            width=width,
            height=height,
            schedule=schedule,
            guidance=guidance,
            loras=loras,
            init_image=init_image,
            references=references,
            images=self.images,
            sketch=sketch,
            step_cache=self.step_cache,
            before_prediction=(lambda: None) if manager is None else partial(manager.set_adapters, loras),
        )

"""A request in, a picture out.

    painter = Painter.load()
    picture = painter.paint(GenerationRequest(prompt="a cat on a rooftop at sunset", seed=7))

A picture is a function of its request alone. Matrix products round differently at different batch sizes, so by
default every picture takes its own way through the model (its prompt and negative prompt together in one pass),
and painting ten at once gives the very pixels of painting them one by one. `pictures_per_pass` trades that for
speed: on one processor core, 8 pictures a pass took 0.7 of the time a picture and differed by 5e-7 in the latents.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import torch

from allaprima.core.errors import RequestError
from allaprima.core.events import Event, Finished, Started, Step
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture, Rescues
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.device.blas import prefer_quick_products
from allaprima.paint.device.precision import choose_dtype, pick_device
from allaprima.paint.lora.files.folder import SHIPPED, LoraFolder, existing_folder
from allaprima.paint.lora.files.trained_settings import introductions, remarks_on, remarks_on_unused
from allaprima.paint.lora.manager import LoraManager, check_uses
from allaprima.paint.memory.loading import load_planned
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.pipeline.img2img import start_from_image
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.pipeline.prompt_cache import KEPT_BYTES, READ_ALONE, PromptCache
from allaprima.paint.pipeline.request_filling import fill_request, lora_metadata
from allaprima.paint.pipeline.retry import with_retry
from allaprima.paint.pipeline.trained_schedule import trained_schedule
from allaprima.paint.sampling.euler import Model
from allaprima.paint.sampling.guidance import guided, needs_negative
from allaprima.paint.sampling.samplers import sample_steps


@dataclass(frozen=True, kw_only=True)
class Painter:
    """A loaded base and how to drive it. Not for several threads at once."""

    base: Base
    lora_manager: LoraManager | None = None
    """The LoRAs that the base can wear; None if it wears none."""
    pictures_per_pass: int = 1
    """At most so many pictures share a pass; above 1 their last bits may depend on the company."""
    guarded: bool = True
    """Compute again, in a wider number format, what overflows; without it an overflow is a PaintError."""

    def __post_init__(self) -> None:
        """Refuse a pass without pictures."""
        if self.pictures_per_pass < 1:
            raise ValueError(f"got {self.pictures_per_pass} pictures per pass; expected at least 1")

    @classmethod
    def load(
        cls,
        base: str = "vignette",
        *,
        folder: Path | None = None,
        models_dirs: Sequence[Path] = (),
        lora_dir: Path | None = None,
        device: str | None = None,
        precision: str = "auto",
        pictures_per_pass: int = 1,
        memory: float | None = None,
        size: tuple[int, int] | None = None,
        loras: Sequence[LoraUse] = (),
    ) -> Painter:
        """Return a painter with `base` loaded.

        Args:
            base: what to paint with, see `bases.loading`.
            folder: where Vignette's weights lie, and perhaps LoRAs in `loras`; None for those that ship with the
                package.
            models_dirs: folders of models in which `base` may be a name.
            lora_dir: the folder of LoRAs, looked into when a request names one; None for `models/lora` here.
            device: torch's name of a device; None for the first GPU, or else the CPU.
            precision: the number format to compute in, see `precision.Precision`.
            pictures_per_pass: see the attribute.
            memory: GiB that may be taken; None for as much as there is. See `memory.plan` for how.
            size: pixels, width and height, of the largest picture to come, for `memory`; None for the base's own.
            loras: what will be asked for first; what is wrong with a file's name or header is told at once.

        Raises:
            LoraError: there is no folder of LoRAs where one is named, or no base of this kind can wear `loras`.
            OutOfMemoryError: the base does not fit into memory, under no plan.
            RequestError: there is no base or number format of that name.
            WeightsError: a weight file is missing or damaged.
        """
        prefer_quick_products()
        on = pick_device(device)
        dtype = choose_dtype(on, precision)
        family = locate(base, models_dirs).family
        shipped = (folder or weights_folder()) / SHIPPED if family == "vignette" else None
        folder_of_loras = LoraFolder(existing_folder(lora_dir), behind=shipped)
        check_uses(loras, folder_of_loras, family)
        loaded = load_planned(
            base, device=on, dtype=dtype, models_dirs=models_dirs, weights=folder, memory=memory, size=size,
            count=pictures_per_pass,
        )  # fmt: skip
        lora_manager = LoraManager(
            loaded.modules(), folder_of_loras, family=loaded.family, device=on, keeps_folds=memory is None
        )
        lora_manager.make_ready()
        return cls(base=loaded, lora_manager=lora_manager, pictures_per_pass=pictures_per_pass)

    def request(self, *, turbo: bool = True, **given: Any) -> GenerationRequest:
        """Return a request for this base: what is `given`, and the LoRAs' and the base's own habits for the rest.

        A LoRA that was trained for some steps says so in its file, and how to paint with them; where several do,
        the first one named is heard. Where none does and no schedule is named, a LoRA called turbo that was made
        for bases of this kind is put in front.

        Args:
            turbo: False for the plain base.
            given: fields of the request.

        Raises:
            RequestError: a value is out of range.
            LoraError: a LoRA is not there or cannot be used.
            TypeError: a request has no field of a given name.
        """
        return fill_request(self.base, self.lora_manager, given, turbo=turbo)

    def introductions(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a line each, how the LoRAs of `request` were trained to paint.

        Raises:
            LoraError: a LoRA is not there or cannot be used.
        """
        return introductions(request, lora_metadata(self.lora_manager, request.loras))

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a sentence each, what in `request` its LoRAs make useless or unwise, and what of them is not used.

        Raises:
            LoraError: a LoRA is not there or cannot be used.
        """
        unused = {} if self.lora_manager is None else self.lora_manager.unmatched(_heard(request.loras))
        return (
            *remarks_on_unused(unused),
            *remarks_on(request, lora_metadata(self.lora_manager, request.loras)),
        )

    def paint(self, request: GenerationRequest) -> Picture:
        """Return the picture of `request`.

        Raises:
            RequestError: the base paints neither this size nor under this name.
            LoraError: a LoRA is not there or cannot be used.
            OutOfMemoryError: memory ran out, under the next thriftier plan too.
            PaintError: the model's numbers overflowed, and in wider formats too.
        """
        return self.paint_batch([request])[0]

    def paint_batch(self, requests: Sequence[GenerationRequest]) -> list[Picture]:
        """Return the picture of each request, in order; the requests may differ in everything."""
        finished = (event for event in self.events(*requests) if isinstance(event, Finished))
        return [picture for event in finished for picture in event.pictures]

    def events(
        self, *requests: GenerationRequest, previews: bool = False, under: InitImage | None = None
    ) -> Iterator[Event]:
        """Paint `requests`, reporting each step; close the iterator to cancel before the next one.

        Neighbours that differ in nothing but the seed encode their text once and, if `pictures_per_pass`
        allows, share a pass. Every pass reports Started, its Steps and Finished.

        Args:
            requests: what to paint, all checked before the first is painted.
            previews: decode what each step has come to, at the cost of a decode per step.
            under: what all of them are painted over; it has their size.

        Raises:
            RequestError: the base paints neither this size nor under this name.
            LoraError: a LoRA is not there or cannot be used.
            PaintError: the model's numbers overflowed.
        """
        for request in requests:
            self._check(request)
        return self._events(requests, previews, under)

    def _check(self, request: GenerationRequest) -> None:
        if request.base != self.base.name:
            raise RequestError(
                f"got a request for base {request.base[:80]!r}; expected {self.base.name}, which is loaded"
            )
        if request.loras:
            self._require_lora_manager(request.loras).read(request.loras)
        self.base.check_size(request.width, request.height)
        self._schedule(request)

    def wear(self, loras: Sequence[LoraUse]) -> None:
        """Let the networks wear `loras` and nothing else; `events` does it by itself.

        Raises:
            RequestError: this painter has no LoRAs.
            LoraError: a name means no file, or a file cannot be used.
        """
        if loras or self.lora_manager is not None:
            self._require_lora_manager(loras).wear(loras)

    def idle(self, budget_seconds: float | None = None) -> bool:
        """Use time in which nothing is painted to make what is worn free of cost.

        Pictures before and after differ by rounding, so whoever needs equal bits does not call this.

        Args:
            budget_seconds: how long it may take, overrun by at most one layer.

        Returns:
            Whether nothing is left to do.
        """
        moving = isinstance(self.base, PlannedBase) and self.base.plan.residency != "resident"
        return self.lora_manager is None or moving or self.lora_manager.fold(budget_seconds)

    def _require_lora_manager(self, loras: Sequence[LoraUse]) -> LoraManager:
        if self.lora_manager is None:
            raise RequestError(
                f"got LoRA {loras[0].name[:80]!r}; expected none, for no folder of LoRAs is open"
            )
        return self.lora_manager

    def schedule(
        self, steps: int, width: int, height: int, name: str | None = None, loras: Sequence[LoraUse] = ()
    ) -> Schedule:
        """Return the base's schedule, or what the LoRAs were trained at if none is named.

        Raises:
            RequestError: the base has no schedule of that name, or none of so many steps.
            LoraError: a LoRA is not there or cannot be used.
        """
        own = self.base.schedule(steps, width, height, name)
        heard = _heard(loras)
        if name is not None or self.lora_manager is None or not heard:
            return own
        return trained_schedule(own, self.lora_manager.told(heard))

    def _schedule(self, request: GenerationRequest) -> Schedule:
        return self.schedule(request.steps, request.width, request.height, request.schedule, request.loras)

    # The decorator, not a with-block: a block would leave inference mode switched on in the caller between
    # events.
    @torch.inference_mode()
    def _events(
        self, requests: Sequence[GenerationRequest], previews: bool, under: InitImage | None
    ) -> Iterator[Event]:
        for _, alike in groupby(requests, key=lambda request: replace(request, seed=0)):
            reading = _Reading(guard=self._guard())
            while group := tuple(islice(alike, self.pictures_per_pass)):
                paint = partial(self._paint_group, group, reading, previews, under)
                yield from with_retry(paint, self.base, group[0], self._unfold)

    def _paint_group(
        self,
        group: tuple[GenerationRequest, ...],
        reading: _Reading,
        previews: bool,
        under: InitImage | None,
    ) -> Iterator[Event]:
        started = time.perf_counter()
        self.wear(group[0].loras)
        if reading.text is None:
            reading.text = self._encode(group[0], reading.guard)
        self._synchronize(reading.text.states)
        text_ms = _ms_since(started)
        base = self._guard(reading.guard.rescues)
        yield from self._paint_pass(base, group, reading.text, text_ms, previews, under)

    def _unfold(self) -> None:
        if self.lora_manager is not None:
            self.lora_manager.rack.unfold()

    def _guard(self, rescues: Rescues | None = None) -> OverflowGuard:
        return OverflowGuard(self.base, rescues, active=self.guarded)

    def _encode(self, request: GenerationRequest, base: OverflowGuard) -> TextStates:
        against = [request.negative_prompt] if needs_negative(self.base, self._scale(request)) else []
        prompts = [request.prompt, *against]
        if self.base.family not in READ_ALONE:
            # Both prompts in one call, so that their padding depends on this request alone.
            return base.encode_text(prompts)
        return self._prompts.read(prompts, self.text_state, base)

    @property
    def text_state(self) -> Hashable:
        """What the text encoders wear: most LoRAs leave them alone, and encoded prompts stay good."""
        networks = [name for name in self.base.modules() if name.startswith("text_encoder")]
        return () if self.lora_manager is None else tuple(self.lora_manager.state(name) for name in networks)

    @cached_property
    def _prompts(self) -> PromptCache:
        return PromptCache(self.base, KEPT_BYTES)

    def _scale(self, request: GenerationRequest) -> float:
        """The guidance that matters: leading away from the prompt itself leads nowhere."""
        idle = request.prompt == request.negative_prompt and self.base.guidance_rule != "embedded"
        return 1.0 if idle else request.guidance

    def _paint_pass(
        self,
        base: OverflowGuard,
        requests: tuple[GenerationRequest, ...],
        text: TextStates,
        text_ms: float,
        previews: bool,
        under: InitImage | None,
    ) -> Iterator[Event]:
        first, count = requests[0], len(requests)
        yield Started(requests=requests)
        started = time.perf_counter()
        rows = text.rows([row for row in range(len(text)) for _ in range(count)])
        model = self._worn(guided(base, rows, self._scale(first)), first.loras)
        seeds = [request.seed for request in requests]
        latents = base.noise(seeds, first.width, first.height)
        schedule = self._schedule(first)
        if under is not None:
            schedule, latents = start_from_image(
                base, under, latents, schedule, width=first.width, height=first.height
            )
        preview_ms = 0.0
        for step in sample_steps(model, latents, schedule, base.prediction, seeds):
            latents = step.latents
            shown: tuple[Picture, ...] = ()
            if previews:
                preview_started = time.perf_counter()
                shown = to_pictures(base.decode(step.clean), requests)
                preview_ms += _ms_since(preview_started)
            yield Step(index=step.index, total=len(schedule), previews=shown)
        self._synchronize(latents)
        denoise_ms = _ms_since(started) - preview_ms
        started = time.perf_counter()
        pictures = to_pictures(base.finish(latents), requests, base.rescues)
        timings = {"text": text_ms, "denoise": denoise_ms, "decode": _ms_since(started) + preview_ms}
        yield Finished(pictures=pictures, timings_ms=timings)

    def _worn(self, model: Model, loras: Sequence[LoraUse]) -> Model:
        """Return `model` wearing `loras`, even if another picture is painted between its steps."""
        lora_manager = self.lora_manager
        if lora_manager is None:
            return model

        def worn(latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            lora_manager.hold(loras)
            return model(latents, t)

        return worn

    @staticmethod
    def _synchronize(tensor: torch.Tensor) -> None:
        """Wait for the device, so that a stage's time is its own."""
        if tensor.is_cuda:
            torch.cuda.synchronize(tensor.device)


@dataclass(kw_only=True)
class _Reading:
    """The text that neighbouring pictures share."""

    guard: OverflowGuard
    text: TextStates | None = None


def _heard(loras: Sequence[LoraUse]) -> list[LoraUse]:
    return [use for use in loras if use.weight != 0.0]


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0

"""A request in, a picture out: the Python door.

    from allaprima import Painter

    painter = Painter.load()
    painter("a cat on a rooftop at sunset", seed=7).save("cat.png")

A picture is a function of its request alone. Matrix products round differently at different batch sizes, so by
default every picture takes its own way through the model (its prompt and negative prompt together in one pass),
and painting ten at once gives the very pixels of painting them one by one. `pictures_per_pass` trades that for
speed: on one processor core, 8 pictures a pass took 0.7 of the time a picture and differed by 5e-7 in the latents.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, overload

import torch

from allaprima.core.errors import RequestError
from allaprima.core.events import Event, Finished, Started, Step
from allaprima.core.init_image import InitImage
from allaprima.core.layout import Thing
from allaprima.core.layout_json import layout_from_json
from allaprima.core.model_hash import FILE as HASHES
from allaprima.core.model_hash import ModelHash
from allaprima.core.outpaint import Margins
from allaprima.core.picture import Picture, PictureSet
from allaprima.core.progress import progress_bar
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.starting_picture import StartingPicture, to_image
from allaprima.core.user_paths import default_cache_dir
from allaprima.core.wildcard_folder import WildcardFolder, existing_wildcards
from allaprima.paint.bases.files.parts import NamedParts
from allaprima.paint.bases.loading import Located, check_quantize, locate
from allaprima.paint.device.blas import prefer_quick_products
from allaprima.paint.device.core_watch import watch_cores
from allaprima.paint.device.precision import choose_dtype, pick_device
from allaprima.paint.device.primitives import keep_few_primitives
from allaprima.paint.layout.completion import painted_layout
from allaprima.paint.lora.files.folder import SHIPPED, LoraFolder, existing_folder
from allaprima.paint.lora.files.remarks import introductions
from allaprima.paint.lora.manager import LoraManager, check_uses
from allaprima.paint.memory.loading import load_planned
from allaprima.paint.memory.planned_base import release
from allaprima.paint.pipeline.img2img import check_init_size
from allaprima.paint.pipeline.overpainting import Overpainting
from allaprima.paint.pipeline.picture_group import PictureGroup
from allaprima.paint.pipeline.pipeline import Pipeline
from allaprima.paint.pipeline.reference_latents import check_pixels
from allaprima.paint.pipeline.request_filling import fill_request, lora_metadata
from allaprima.paint.pipeline.retry import with_retry
from allaprima.paint.step_cache.setting import StepCacheSetting

if TYPE_CHECKING:
    from PIL import Image

    from allaprima.paint.step_cache.first_block import FirstBlockCache

MAX_GIB = 2**20
"""More than any machine has."""
Loras = Mapping[str, float] | Sequence[LoraUse | str] | str
"""LoRAs as a person writes them: names to weights, or names."""


@dataclass(frozen=True, kw_only=True)
class Painter(Pipeline):
    """A pipeline to be called with words. Threads may share one: their pictures take turns, a step at a time."""

    pictures_per_pass: int = 1
    """At most so many pictures share a pass; above 1 their last bits may depend on the company."""
    wildcards: WildcardFolder = field(default_factory=WildcardFolder)
    """What `__animal__` in a prompt may stand for."""
    _lock: RLock = field(default_factory=RLock, repr=False, compare=False)
    """Of the base and its LoRAs, so `dataclasses.replace` hands it on."""

    def __post_init__(self) -> None:
        """Refuse a pass without pictures."""
        count = self.pictures_per_pass
        if not _is_count(count):
            raise ValueError(f"got {count} pictures per pass; expected a whole number of at least 1")

    @classmethod
    def load(
        cls,
        base: str = "vignette",
        *,
        folder: Path | str | None = None,
        models_dirs: Sequence[Path | str] = (),
        text_encoder: Path | str | None = None,
        vae: Path | str | None = None,
        lora_dir: Path | str | None = None,
        wildcard_dir: Path | str | None = None,
        device: str | None = None,
        precision: str = "auto",
        pictures_per_pass: int = 1,
        memory_gib: float | None = None,
        quantize: str | None = None,
        cache: str | None = None,
        size: tuple[int, int] | None = None,
        loras: Loras = (),
    ) -> Painter:
        """Return a painter with `base` loaded.

        Args:
            base: what to paint with, see `bases.loading`.
            folder: where Vignette's weights lie, and perhaps LoRAs in `loras`; None for those that ship with the
                package.
            models_dirs: folders of models in which `base` may be a name, or lists of them.
            text_encoder: the file of the text encoder, or its name in one of the folders, for a base in several
                files; None for the one that lies there.
            vae: that of the autoencoder.
            lora_dir: the folder of LoRAs, looked into when a request names one; None for `models/lora` here, or else
                for those in `models_dirs`.
            wildcard_dir: the folder of wildcards; None for `models/wildcards` here, or else for one in `models_dirs`.
            device: torch's name of a device; None for the first GPU, or else the CPU.
            precision: the number format to compute in, see `precision.Precision`.
            pictures_per_pass: see the attribute.
            memory_gib: the most that may be taken; None for as much as there is. See `memory.plan` for how.
            quantize: fp8, int8 or nf4, to which the weights of an unquantised base are rounded; None for none.
            cache: first-block, or first-block:THRESHOLD, to skip what hardly changes between steps; None for none.
                See `step_cache`.
            size: pixels, width and height, of the largest picture to come; None for the base's own.
            loras: what will be asked for first; what is wrong with a file's name or header is told at once.

        Raises:
            LoraError: there is no folder of LoRAs where one is named, or no base of this kind can take `loras`.
            OutOfMemoryError: the base does not fit into memory, under no plan.
            RequestError: there is no base, number format or folder of wildcards of that name, the base's weights
                cannot be rounded or its blocks not skipped, or a limit or size is none.
            WeightsError: a weight file is missing or damaged.
        """
        if memory_gib is not None and not 0 < memory_gib < MAX_GIB:
            raise RequestError(
                f"got {memory_gib} GiB of memory; expected more than 0, fewer than {MAX_GIB:,}"
            )
        if size is not None and min(size) < 1:
            raise RequestError(f"got the size {size[0]}x{size[1]}; expected at least 1x1")
        folder, lora_dir, wildcard_dir = (
            None if path is None else Path(path) for path in (folder, lora_dir, wildcard_dir)
        )
        folders = [Path(path) for path in ([models_dirs] if isinstance(models_dirs, str) else models_dirs)]
        wildcards = WildcardFolder(existing_wildcards(wildcard_dir, folders))
        prefer_quick_products()
        keep_few_primitives()
        on = pick_device(device)
        if on.type == "cpu":
            watch_cores()
        dtype = choose_dtype(on, precision)
        named = NamedParts(
            text_encoder=None if text_encoder is None else str(text_encoder),
            vae=None if vae is None else str(vae),
        )
        located = locate(base, folders, named)
        check_quantize(located, quantize)
        step_cache = _step_cache(located, cache)
        shipped = located.weights_folder(folder)
        folder_of_loras = LoraFolder(existing_folder(lora_dir, folders), behind=shipped and shipped / SHIPPED)
        check_uses(_to_uses(loras), folder_of_loras, located.family)
        model_hash = None
        if located.path is not None and located.path.is_file():
            model_hash = ModelHash(located.path, kept=default_cache_dir() / HASHES)
        loaded = load_planned(
            base, device=on, dtype=dtype, models_dirs=folders, named=named, weights=folder, memory_gib=memory_gib,
            quantize=quantize, size=size, count=pictures_per_pass, step_cache=step_cache,
        )  # fmt: skip
        lora_manager = LoraManager(
            loaded.modules(),
            folder_of_loras,
            family=loaded.family,
            device=on,
            keeps_merges=memory_gib is None,
        )
        lora_manager.make_ready()
        return cls(
            base=loaded,
            lora_manager=lora_manager,
            pictures_per_pass=pictures_per_pass,
            wildcards=wildcards,
            model_hash=model_hash,
            layout_completion=painted_layout,
            step_cache=step_cache,
        )

    @overload
    def __call__(self, prompt: str, *, count: Literal[1] = 1, **given: Any) -> Picture: ...
    @overload
    def __call__(self, prompt: str, *, count: int, **given: Any) -> PictureSet: ...
    def __call__(
        self,
        prompt: str,
        *,
        count: int = 1,
        seed: int | None = None,
        loras: Loras = (),
        init_image: InitImage | Picture | Image.Image | Path | str | None = None,
        strength: float | None = None,
        mask: Picture | Image.Image | Path | str | None = None,
        feather_px: int | None = None,
        padding_px: int | None = None,
        outpaint: Margins | Mapping[str, int] | str | None = None,
        references: Sequence[Reference | Picture | Image.Image | Path | str] = (),
        layout: Sequence[Thing | Mapping[str, Any]] = (),
        turbo: bool = True,
        **fields: Any,
    ) -> Picture | PictureSet:
        """Paint `prompt`, with a progress bar where a person looks on.

        What the request's LoRAs make useless or unwise is said as a warning.

        Args:
            prompt: what to paint.
            count: 1 returns a picture; more return a set, whose seeds follow each other.
            seed: of the first picture; None for a random one.
            loras: names to weights, or names or `LoraUse` s.
            init_image: what to paint over; one that is no `InitImage` is scaled and cut to the picture's size.
            strength: how much of such an image is painted over, 0 to 1; None for 0.75, or 1 with a mask or sides.
            mask: what of it is painted: white, or transparent in a mask with a transparent pixel.
            feather_px: how wide the edge of what is painted is; None for 8 pixels, or 16 around a picture.
            padding_px: paint a window with so much around the mask at the base's size, and put it back.
            outpaint: sides to extend the picture on, in pixels, such as {"left": 64}.
            references: pictures to look at, in bases that do, such as FLUX.2 klein.
            layout: what stands where, from back to front, such as {"kind": "cat", "box": [0.1, 0.4, 0.5, 0.9]}, in
                bases that read it.
            turbo: False for the plain base.
            fields: further fields of a `GenerationRequest`, such as steps, guidance, width and height.

        Raises:
            RequestError: a value is out of range.
            LoraError: a LoRA is not there or cannot be used.
            PictureError: `init_image` cannot be read.
            PaintError: the model's numbers overflowed.
        """
        if not _is_count(count):
            raise RequestError(f"got count {count}; expected a whole number of at least 1")
        options = {"strength": strength, "mask": mask, "feather_px": feather_px, "padding_px": padding_px}
        start = _to_start(init_image, {**options, "outpaint": outpaint})
        if isinstance(start, StartingPicture):
            start.check_fields(fields)
        over = Overpainting(start, self.base)
        seed = secrets.randbelow(2**32) if seed is None else seed
        given = {
            "prompt": prompt, "loras": _to_uses(loras), "references": _to_references(references),
            "layout": layout_from_json(layout), **fields,
        }  # fmt: skip
        requests = over.fit(self.requests(count, turbo=turbo, seed=seed, **given))
        for remark in dict.fromkeys(remark for request in requests for remark in self.remarks(request)):
            warnings.warn(remark, stacklevel=2)
        steps = sum(request.steps for request in requests)
        pictures = _follow(over.events(self.events, requests), steps * over.passes)
        return pictures[0] if count == 1 else PictureSet(pictures)

    def close(self) -> None:
        """Let the base go, so that its memory can be used for something else; nothing can be painted afterwards."""
        with self._lock:
            for name in ("base", "lora_manager"):
                object.__setattr__(self, name, _Closed())
            for name in ("prompts", "images"):
                vars(self).pop(name, None)
        release()

    def __enter__(self) -> Painter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, *, turbo: bool = True, **given: Any) -> GenerationRequest:
        """Return a request for this base with what is `given`, completed by `core.request_policy`.

        The rest comes from the first LoRA named whose file says how it was trained, then from a LoRA called turbo
        that is for bases of this kind, then from the base.

        Args:
            turbo: False for the plain base.
            given: fields of the request.

        Raises:
            RequestError: a value is out of range.
            LoraError: a LoRA is not there or cannot be used.
            TypeError: a request has no field of a given name.
        """
        names = [field.name for field in fields(GenerationRequest)]
        if unknown := [name for name in given if name not in names]:
            raise TypeError(f"got {unknown[0]!r}; expected a field of a request: {', '.join(names)}")
        with self._lock:
            return fill_request(
                self.base, self.lora_manager, given, turbo=turbo, find_wildcard=self.wildcards.find
            )

    def requests(self, count: int, *, turbo: bool = True, **given: Any) -> list[GenerationRequest]:
        """Return `count` requests as `request` makes them, with seeds that follow each other.

        Where the words hold choices, each seed makes its own.
        """
        first = self.request(turbo=turbo, **given)
        seeds = [first.seed + number for number in range(count)]
        if first.template or first.negative_template:
            return [self.request(turbo=turbo, **{**given, "seed": seed}) for seed in seeds]
        return [replace(first, seed=seed) for seed in seeds]

    def introductions(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a line each, how the LoRAs of `request` were trained to paint.

        Raises:
            LoraError: a LoRA is not there or cannot be used.
        """
        with self._lock:
            return introductions(request, lora_metadata(self.lora_manager, request.loras))

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a sentence each, what `request` says and its picture will not honour; pictures carry them too.

        Raises:
            LoraError: a LoRA is not there or cannot be used.
        """
        with self._lock:
            return super().remarks(request)

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
        self, *requests: GenerationRequest, previews: bool = False, init_image: InitImage | None = None
    ) -> Iterator[Event]:
        """Paint `requests`, reporting each step; close the iterator to cancel before the next one.

        Neighbours that differ in nothing but the seed encode their text once and, if `pictures_per_pass`
        allows, share a pass. Every pass reports Started, its Steps and Finished.

        Args:
            requests: what to paint, all checked before the first is painted.
            previews: decode what each step has come to, at the cost of a decode per step.
            init_image: what all of them are painted over; it has their size.

        Raises:
            RequestError: the base paints neither this size nor under this name.
            LoraError: a LoRA is not there or cannot be used.
            PaintError: the model's numbers overflowed.
        """
        with self._lock:
            for request in requests:
                self._check(request)
                if init_image is not None:
                    check_init_size(init_image, request.width, request.height)
        return self._take_turns(self._events(requests, previews, init_image))

    def _take_turns(self, events: Generator[Event]) -> Iterator[Event]:
        """Yield `events`, the painter locked while each comes about."""
        try:
            while True:
                with self._lock:
                    event = next(events, None)
                if event is None:
                    return
                yield event
        finally:
            with self._lock:
                events.close()

    def _check(self, request: GenerationRequest) -> None:
        if request.base != self.base.name:
            raise RequestError(
                f"got a request for base {request.base[:80]!r}; expected {self.base.name}, which is loaded"
            )
        if request.loras:
            self.require_lora_manager(request.loras).load(request.loras)
        self.base.check_size(request.width, request.height)
        check_pixels(self.base, request)
        self.schedule_of(request)

    # The decorator, not a with-block: a block would leave inference mode switched on in the caller between
    # events.
    @torch.inference_mode()
    def _events(
        self, requests: Sequence[GenerationRequest], previews: bool, init_image: InitImage | None
    ) -> Generator[Event]:
        for first, alike in groupby(requests, key=lambda request: replace(request, seed=0)):
            group = PictureGroup(self, first, init_image, previews=previews)
            while batch := tuple(islice(alike, self.pictures_per_pass)):
                yield from with_retry(partial(group.paint, batch), self.base, first, self.unmerge)


class _Closed:
    """What a closed painter has in place of its parts."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError("this painter was closed; load another with Painter.load()")


def _step_cache(located: Located, cache: str | None) -> FirstBlockCache | None:
    if cache is None:
        return None
    setting = StepCacheSetting.parse(cache)
    setting.check(located.name, located.traits)
    from allaprima.paint.step_cache.first_block import FirstBlockCache  # diffusers takes seconds to import

    return FirstBlockCache(setting)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _to_uses(loras: Loras) -> tuple[LoraUse, ...]:
    if isinstance(loras, Mapping):
        return tuple(LoraUse(name=name, weight=weight) for name, weight in loras.items())
    listed: object = [loras] if isinstance(loras, str) else loras
    if not isinstance(listed, Sequence) or not all(isinstance(lora, str | LoraUse) for lora in listed):
        raise RequestError(f"got loras {str(loras)[:60]}; expected names to weights, or names")
    return tuple(LoraUse(name=lora) if isinstance(lora, str) else lora for lora in listed)


def _to_references(images: object) -> tuple[Reference, ...]:
    """Return the pictures to look at, whatever a person calls an image."""
    if isinstance(images, str | Path) or not isinstance(images, Sequence):
        images = [images]
    return tuple(
        image if isinstance(image, Reference) else Reference.from_image(to_image(image)) for image in images
    )


def _to_start(image: object, options: Mapping[str, Any]) -> StartingPicture | InitImage | None:
    """Return what is painted over; `options` are those of `StartingPicture.of`."""
    given = {name: value for name, value in options.items() if value is not None}
    if given and (image is None or isinstance(image, InitImage)):
        name, value = next(iter(given.items()))
        raise RequestError(
            f"got {name} {str(value)[:40]}; expected it with an image that has none of its own"
        )
    return image if image is None or isinstance(image, InitImage) else StartingPicture.of(image, **given)


def _follow(events: Iterator[Event], steps: int) -> tuple[Picture, ...]:
    """Return the pictures of `events`, showing how many of all `steps` are taken."""
    pictures: tuple[Picture, ...] = ()
    with progress_bar() as bar:
        task, rows = bar.add_task("painting", total=steps), 1
        for event in events:
            if isinstance(event, Started):
                rows = len(event.requests)
            elif isinstance(event, Step):
                bar.advance(task, rows)
            else:
                pictures += event.pictures
    return pictures

"""The models of an engine: loaded bases, checked and encoded prompts, batches that can be left at every step.

This is where the engine meets torch; it is imported when an engine starts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, groupby
from pathlib import Path

from PIL import Image
from torch import Tensor

from allaprima.core.events import Event, Step
from allaprima.core.init_image import InitImage
from allaprima.core.layout import PaintedLayout
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_defaults import RequestDefaults
from allaprima.core.retouch import Repaint
from allaprima.core.retouched import RetouchedPicture
from allaprima.paint.memory.process_memory import keep_heap_warm
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow, FirstPrediction
from allaprima.paint.pipeline.layout_maps import draw_maps
from allaprima.paint.pipeline.prompt_cache import EncodedPrompt
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.work import PlacePainter, Workshop
from allaprima.paint.sampling.guidance import effective_guidance, needs_negative
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import LivePrompt, RetouchOrder

RETOUCH_STEPS = 100
"""Retouching counts in hundredths."""


@dataclass(frozen=True, kw_only=True)
class PreparedPrompt:
    """A prompt, checked and encoded."""

    prompt: LivePrompt
    text: EncodedPrompt
    negative: EncodedPrompt | None
    """What guidance leads away from; None where that does not matter."""
    guidance: float
    """The guidance that matters."""
    first_look: tuple[LoraUse, ...]
    """The LoRAs of a first frame that finer ones will follow."""
    key: Hashable
    """All that the picture depends on but how far it is finished: equal keys, equal pictures."""
    has_coarse_decoder: bool
    """Whether its base has one."""
    remarks: tuple[str, ...]
    """What of the prompt its pictures will not honour."""
    layout: PaintedLayout | None = None
    """What the base is told stands where."""
    layout_map: Tensor | None = None
    """(1, M, h, w), that as the base is shown it."""


class ModelRunner:
    """The loaded bases of an engine. Belongs to its thread."""

    def __init__(
        self, painter_factory: Callable[[str], Painter], limits: Limits, models_dirs: Sequence[Path] = ()
    ) -> None:
        self._factory = painter_factory
        self._workshop = Workshop(models_dirs=models_dirs)
        self._limits = limits
        self._painters: OrderedDict[str, Painter] = OrderedDict()
        self.defaults: dict[str, RequestDefaults] = {}
        """What each base that was ever loaded paints where nobody says otherwise."""
        self.layout_readers: set[str] = set()
        """The bases that were ever loaded and read layouts."""
        keep_heap_warm()

    def painter(self, base: str) -> Painter:
        """Return the painter of `base`, loaded if it is not; the least recently used makes room."""
        if base not in self._painters:
            while len(self._painters) >= self._limits.bases:
                self._painters.popitem(last=False)
            self._painters[base] = painter = self._factory(base)
            self.defaults[base] = painter.base.defaults
            if painter.base.reads_layout:
                self.layout_readers.add(base)
        self._painters.move_to_end(base)
        return self._painters[base]

    def events(
        self, requests: Sequence[GenerationRequest], *, previews: bool, init_image: InitImage | None = None
    ) -> Iterator[Event]:
        """Paint whole pictures, one after the other, exactly as `Painter.events` does."""
        for base, group in groupby(requests, key=lambda request: request.base):
            yield from self.painter(base).events(*group, previews=previews, init_image=init_image)

    def retouch(self, order: RetouchOrder) -> Iterator[Step | RetouchedPicture]:
        """Retouch a picture: a step after each short piece of the work, then the picture."""
        request = order.picture.request
        over = any(isinstance(one, Repaint) for one in order.operations)
        # The base last used paints new backgrounds; what is painted over wants its own.
        painter = self.painter(request.base) if request and over else next(reversed(self._painters.values()))

        def paint(prompt: str, seed: int) -> Image.Image:
            return painter.paint(painter.request(prompt=prompt, seed=seed)).image

        places = PlacePainter(paint=paint, prompt=painter.base.traits.place_prompt)
        work = Retoucher(replace(self._workshop, places=places, painter=painter)).work(
            order.picture, order.operations
        )
        while True:
            try:
                share = next(work)
            except StopIteration as done:
                yield done.value
                return
            yield Step(index=round(share * RETOUCH_STEPS), total=RETOUCH_STEPS)

    def prepare(self, prompts: Sequence[LivePrompt]) -> list[PreparedPrompt]:
        """Check and encode prompts of one base, size and set of LoRAs."""
        settings = prompts[0].settings
        painter = self.painter(settings.base)
        painter.base.check_size(settings.width, settings.height)
        painter.apply_loras(settings.loras)
        for prompt in prompts:
            one = prompt.settings
            painter.schedule(
                one.steps, one.width, one.height, one.schedule, one.loras, init_image=prompt.init_image
            )
        guided = [needs_negative(painter.base, prompt.settings.guidance) for prompt in prompts]
        texts = [prompt.prompt for prompt in prompts]
        negatives = [prompt.settings.negative_prompt for prompt in compress(prompts, guided)]
        encoded = iter(painter.prompts.encode([*texts, *negatives], painter.text_state))
        own = [next(encoded) for _ in texts]
        against = [next(encoded) if guides else None for guides in guided]
        first_look = painter.first_look(settings.loras)
        layouts = [painter.painted_layout(prompt.request, prompt.init_image) for prompt in prompts]
        maps = draw_maps(painter.base, layouts, settings.width, settings.height)
        return [
            _prepare(painter, prompt, text, negative, first_look, layout, layout_map)
            for prompt, text, negative, layout, layout_map in zip(
                prompts, own, against, layouts, maps, strict=True
            )
        ]

    def begin(
        self, prepared: Sequence[PreparedPrompt], steps: int, firsts: Sequence[FirstPrediction | None]
    ) -> DenoiseBatch:
        """Return a batch of `prepared`, which agree in base, size, LoRAs, schedule, guidance and what lies below.

        `firsts` are their first predictions, where those are known.
        """
        common, settings = prepared[0], prepared[0].prompt.settings
        # A first look is soon replaced by finer ones; a picture asked for in one step has the LoRAs that it says.
        is_first_look = steps == 1 < settings.steps
        loras = common.first_look if is_first_look else settings.loras
        rows = [
            DenoiseRow(
                prompt=one.text.text,
                negative=None if one.negative is None else one.negative.text,
                seed=one.prompt.settings.seed,
                first=first,
                layout=one.layout_map,
            )
            for one, first in zip(prepared, firsts, strict=True)
        ]
        painter, below = self.painter(settings.base), common.prompt.init_image
        painter.apply_loras(loras)
        width, height, name = settings.width, settings.height, settings.schedule
        return painter.begin(
            rows,
            width=width,
            height=height,
            schedule=painter.schedule(steps, width, height, name, loras, init_image=below),
            guidance=common.guidance,
            loras=loras,
            init_image=below,
            sketch=is_first_look,
        )

    def idle(self, budget_s: float) -> bool:
        """Use a pause to merge LoRAs into the weights of the base last used; return whether nothing is left to do."""
        recent = next(reversed(self._painters.values()), None)
        return recent is None or recent.idle(budget_s)

    def text_counts(self) -> tuple[int, int]:
        """Return how many prompts were encoded and how many were cached, by the bases that are loaded."""
        # A list first: it is made at once, and this is asked by other threads.
        caches = [painter.prompts for painter in list(self._painters.values())]
        return sum(cache.misses for cache in caches), sum(cache.hits for cache in caches)


def _prepare(
    painter: Painter,
    prompt: LivePrompt,
    text: EncodedPrompt,
    negative: EncodedPrompt | None,
    first_look: tuple[LoraUse, ...],
    layout: PaintedLayout | None,
    layout_map: Tensor | None,
) -> PreparedPrompt:
    settings = prompt.settings
    same = negative is not None and negative.digest == text.digest
    guidance = effective_guidance(painter.base, settings.guidance, same_text=same)
    negative = None if same else negative
    key = (
        settings.base, text.digest, None if negative is None else negative.digest, guidance, settings.seed,
        settings.width, settings.height, settings.schedule, painter.lora_state, prompt.init_image, layout,
    )  # fmt: skip
    return PreparedPrompt(
        prompt=prompt,
        text=text,
        negative=negative,
        guidance=guidance,
        first_look=first_look,
        key=key,
        has_coarse_decoder=painter.base.has_coarse_decoder,
        remarks=painter.remarks(prompt.request),
        layout=layout,
        layout_map=layout_map,
    )

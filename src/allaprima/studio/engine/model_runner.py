"""The device's side of live painting: loaded bases, encoded prompts and passes that can be left at every step.

This is where the engine meets torch; it is imported when an engine starts.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import torch

from allaprima.core.events import Event
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.memory.process_memory import keep_heap_warm
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow, share_first_prediction
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.pipeline.prompt_cache import EncodedPrompt, PromptCache
from allaprima.paint.pipeline.request_filling import first_look
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import LivePrompt, LiveSettings


@dataclass(frozen=True, kw_only=True)
class PreparedPrompt:
    """A prompt, checked and encoded."""

    prompt: LivePrompt
    key: Hashable
    """All that the picture depends on but the steps: equal keys, equal pictures."""
    guidance: float
    """The guidance that matters."""
    text: EncodedPrompt
    negative: EncodedPrompt | None


@dataclass(frozen=True, kw_only=True)
class FirstPrediction:
    """A first prediction, to be used again by finer schedules."""

    schedule: Schedule
    loras: tuple[LoraUse, ...]
    """What was worn."""
    prediction: torch.Tensor


@dataclass(kw_only=True)
class LivePass:
    """Several prompts on their way through the model together, at one number of steps."""

    steps: int
    shared: DenoiseBatch
    schedule: Schedule
    loras: tuple[LoraUse, ...]
    wear: Callable[[], None]
    """Puts on the LoRAs of this pass; others may have been on since its last step."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    _ahead: Iterator[int] | None = None
    _taken: int = 0

    @property
    def alive(self) -> tuple[int, ...]:
        """The rows that were not dropped."""
        return self.shared.alive

    @property
    def left(self) -> int:
        """Steps not yet taken."""
        return len(self.schedule) - self._taken

    @property
    def decodes_together(self) -> bool:
        """Whether decoding several rows at once is quicker than one by one, as it is on a GPU."""
        return self.shared.is_cuda

    def drop(self, row: int) -> None:
        """Spend nothing more on `row`."""
        self.shared.drop(row)

    def advance(self) -> None:
        """Take one step."""
        started = time.perf_counter()
        self.wear()
        if self._ahead is None:
            self._ahead = self.shared.steps()
        self._taken = next(self._ahead)
        self._add("denoise", started)

    def decode(self, rows: Sequence[int], prompts: Sequence[LivePrompt]) -> tuple[Picture, ...]:
        """Return the pictures of `rows`, each as asked for by its prompt."""
        started = time.perf_counter()
        asked = [prompt.settings.request(prompt.prompt, self.steps) for prompt in prompts]
        requests = [replace(request, loras=self.loras) for request in asked]
        pictures = to_pictures(self.shared.decode(rows), requests, self.shared.rescues)
        self._add("decode", started)
        return pictures

    def opening(self, row: int) -> FirstPrediction | None:
        """Return the first prediction of `row`."""
        prediction = self.shared.openings[row]
        return (
            None
            if prediction is None
            else FirstPrediction(schedule=self.schedule, loras=self.loras, prediction=prediction)
        )

    def _add(self, stage: str, started: float) -> None:
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + 1e3 * (time.perf_counter() - started)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    painter: Painter
    prompts: PromptCache

    @property
    def state(self) -> Hashable:
        """What the base wears; another after a LoRA's file has changed."""
        lora_manager = self.painter.lora_manager
        return () if lora_manager is None else lora_manager.state()

    @property
    def text_state(self) -> Hashable:
        """What its text encoders wear; most LoRAs leave them alone, and encoded prompts stay good."""
        lora_manager = self.painter.lora_manager
        names = [name for name in self.painter.base.modules() if name.startswith("text_encoder")]
        return () if lora_manager is None else tuple(lora_manager.state(name) for name in names)


class ModelRunner:
    """The loaded bases of an engine. Belongs to its thread."""

    def __init__(self, painter_factory: Callable[[str], Painter], limits: Limits) -> None:
        self._factory = painter_factory
        self._limits = limits
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self.defaults: dict[str, RequestDefaults] = {}
        """What each base that was ever loaded paints where nobody says otherwise."""
        keep_heap_warm()

    def load(self, base: str) -> None:
        """Have `base` at hand.

        Raises:
            UserError: it cannot be loaded.
        """
        self._base(base)

    def events(
        self, requests: Sequence[GenerationRequest], *, previews: bool, under: InitImage | None = None
    ) -> Iterator[Event]:
        """Paint whole pictures, one after the other, exactly as `Painter.events` does."""
        for base, group in groupby(requests, key=lambda request: request.base):
            yield from self._base(base).painter.events(*group, previews=previews, under=under)

    def prepare(self, prompts: Sequence[LivePrompt]) -> list[PreparedPrompt]:
        """Check and encode prompts of one base, size and set of LoRAs.

        Raises:
            RequestError: the base paints no such pictures.
        """
        settings = prompts[0].settings
        loaded = self._base(settings.base)
        base = loaded.painter.base
        base.check_size(settings.width, settings.height)
        loaded.painter.wear(settings.loras)
        for prompt in prompts:
            _schedule(loaded.painter, prompt.settings, prompt.settings.steps, prompt.settings.loras)
        led = [needs_negative(base, prompt.settings.guidance) for prompt in prompts]
        texts = [prompt.prompt for prompt in prompts]
        against = [
            prompt.settings.negative_prompt for prompt, leads in zip(prompts, led, strict=True) if leads
        ]
        encoded = loaded.prompts.encode([*texts, *against], loaded.text_state)
        negatives = iter(encoded[len(texts) :])
        return [
            _prepare(prompt, text, next(negatives) if leads else None, loaded.state)
            for prompt, text, leads in zip(prompts, encoded, led, strict=False)
        ]

    def begin(
        self, prepared: Sequence[PreparedPrompt], steps: int, openings: Sequence[FirstPrediction | None]
    ) -> LivePass:
        """Return a pass over `prepared`, which agree in base, size, LoRAs, schedule and guidance that matters."""
        settings = prepared[0].prompt.settings
        loaded = self._base(settings.base)
        base = loaded.painter.base
        # A first look is soon replaced by finer ones; a picture asked for in one step wears what it says.
        loras = settings.loras
        if steps == 1 < settings.steps:
            loras = first_look(base, loaded.painter.lora_manager, loras)
        schedule = _schedule(loaded.painter, settings, steps, loras)
        rows = [
            DenoiseRow(
                prompt=one.text.text,
                seed=one.prompt.settings.seed,
                negative=None if one.negative is None else one.negative.text,
                opening=None
                if opening is None
                or opening.loras != loras
                or not share_first_prediction(opening.schedule, schedule)
                else opening.prediction,
            )
            for one, opening in zip(prepared, openings, strict=True)
        ]
        shared = DenoiseBatch(
            base,
            rows,
            width=settings.width,
            height=settings.height,
            schedule=schedule,
            guidance=prepared[0].guidance,
        )
        return LivePass(
            steps=steps,
            shared=shared,
            schedule=schedule,
            loras=loras,
            wear=lambda: loaded.painter.wear(loras),
        )

    def idle(self, budget_seconds: float) -> bool:
        """Use a pause to bring LoRAs into the weights of the base last used; return whether nothing is left to do."""
        recent = next(reversed(self._loaded.values()), None)
        return recent is None or recent.painter.idle(budget_seconds)

    def text_counts(self) -> tuple[int, int]:
        """Return how many prompts were encoded and how many found, by the bases that are loaded."""
        caches = [loaded.prompts for loaded in self._loaded.values()]
        return sum(cache.misses for cache in caches), sum(cache.hits for cache in caches)

    def _base(self, name: str) -> _Loaded:
        if name not in self._loaded:
            while len(self._loaded) >= self._limits.bases:
                self._loaded.popitem(last=False)
            painter = self._factory(name)
            self.defaults[name] = painter.base.defaults
            self._loaded[name] = _Loaded(
                painter=painter, prompts=PromptCache(painter.base, self._limits.text_bytes)
            )
        self._loaded.move_to_end(name)
        return self._loaded[name]


def _schedule(painter: Painter, settings: LiveSettings, steps: int, loras: tuple[LoraUse, ...]) -> Schedule:
    return painter.schedule(steps, settings.width, settings.height, settings.schedule, loras)


def _prepare(
    prompt: LivePrompt, text: EncodedPrompt, negative: EncodedPrompt | None, worn: Hashable
) -> PreparedPrompt:
    settings = prompt.settings
    if negative is not None and negative.digest == text.digest:
        negative = None  # leading away from the prompt itself leads nowhere
        guidance = 1.0
    else:
        guidance = settings.guidance
    against = None if negative is None else negative.digest
    key = (
        settings.base, text.digest, against, guidance, settings.seed, settings.width, settings.height,
        settings.schedule, worn,
    )  # fmt: skip
    return PreparedPrompt(prompt=prompt, key=key, guidance=guidance, text=text, negative=negative)

"""Whole pictures that differ in nothing but their seeds: their text is encoded once, for all their batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from allaprima.core.events import Event, Finished, Started, Step
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import TextStates
from allaprima.paint.pipeline.denoise import DenoiseRow
from allaprima.paint.pipeline.layout_maps import draw_maps
from allaprima.paint.pipeline.pictures import complete, to_pictures
from allaprima.paint.pipeline.pipeline import Pipeline
from allaprima.paint.pipeline.reference_latents import encode_references
from allaprima.paint.sampling.guidance import effective_guidance, needs_negative


class PictureGroup:
    """The pictures of one request and several seeds.

    Args:
        pipeline: what paints them.
        request: any one of theirs.
        init_image: what all of them are painted over.
        previews: decode what each step has come to.
    """

    def __init__(
        self, pipeline: Pipeline, request: GenerationRequest, init_image: InitImage | None, *, previews: bool
    ) -> None:
        self._pipeline = pipeline
        self._request = request
        self._init_image = init_image
        self._previews = previews
        self._guard = pipeline.guard()
        self._texts: list[TextStates] = []
        same = request.prompt == request.negative_prompt
        self._guidance = effective_guidance(pipeline.base, request.guidance, same_text=same)

    def paint(self, requests: Sequence[GenerationRequest]) -> Iterator[Event]:
        """Paint `requests`, which are of this group, in one batch, and report each step.

        Raises:
            PaintError: the model's numbers overflowed.
        """
        pipeline, request, watch = self._pipeline, self._request, _StopWatch()
        with watch("text"):
            pipeline.apply_loras(request.loras)
            prompt, negative = self._encode()
            references = encode_references(self._guard, request.references, pipeline.images)
            layouts = [pipeline.painted_layout(each, self._init_image) for each in requests]
            maps = draw_maps(self._guard, layouts, request.width, request.height, self._init_image)
            if prompt.states.is_cuda:  # so that each stage's time is its own
                torch.cuda.synchronize(prompt.states.device)
            remarks = pipeline.remarks(request)
        yield Started(requests=tuple(requests), remarks=remarks)
        with watch("denoise"):
            batch = pipeline.begin(
                [
                    DenoiseRow(prompt=prompt, negative=negative, seed=each.seed, layout=layout)
                    for each, layout in zip(requests, maps, strict=True)
                ],
                width=request.width,
                height=request.height,
                schedule=pipeline.schedule_of(request, self._init_image),
                guidance=self._guidance,
                loras=request.loras,
                init_image=self._init_image,
                references=references,
                guard=pipeline.guard(self._guard.rescues),
            )
        while batch.left:
            with watch("denoise"):
                step = batch.step()
            with watch("decode"):
                seen = batch.preview(step) if self._previews else None
                shown = () if seen is None else to_pictures(seen, requests, layouts=layouts)
                shown = complete(shown, self._init_image)
            yield Step(index=step.index, total=len(batch.schedule), previews=shown)
        with watch("decode"):
            pixels = batch.decode(range(len(requests)), coarse=request.quality == "medium")
            pictures = to_pictures(
                pixels, requests, batch.rescues, step_cache=batch.cached_by, layouts=layouts
            )
            pictures = complete(pictures, self._init_image)
        loras = pipeline.painted_loras(request)
        digits = pipeline.base_hash
        pictures = tuple(
            replace(picture, remarks=remarks, loras=loras, base_hash=digits) for picture in pictures
        )
        yield Finished(pictures=pictures, timings_ms=watch.ms)

    def _encode(self) -> tuple[TextStates, TextStates | None]:
        """Return the prompt, and the negative prompt where it matters."""
        if not self._texts:
            guides = needs_negative(self._pipeline.base, self._guidance)
            prompts = [self._request.prompt, *([self._request.negative_prompt] if guides else [])]
            self._texts = self._pipeline.prompts.read(prompts, self._pipeline.text_state, self._guard)
        return self._texts[0], self._texts[1] if len(self._texts) > 1 else None


class _StopWatch:
    """Milliseconds by stage, added up."""

    def __init__(self) -> None:
        self.ms = dict.fromkeys(("text", "denoise", "decode"), 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.ms[stage] += (time.perf_counter() - started) * 1000.0

"""What the studio's engine paints: live frames of 1, 2 and 4 steps, and whole pictures as jobs."""

from __future__ import annotations

import functools
import queue
from collections.abc import Sequence
from pathlib import Path

from benchmarks.proof_api import load_painter, never_fold_loras, submit_job
from benchmarks.proof_hashes import Hashed, hash_bytes, hash_image
from benchmarks.proof_pictures import NEGATIVE, PLAIN, PROMPT, SMALL
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.messages import (
    Done,
    Failed,
    Frame,
    JobUpdate,
    LivePrompt,
    LiveSettings,
    LiveUpdate,
    Progress,
)

TIMEOUT_S = 120.0


def engine_pictures(folder: Path) -> Hashed:
    """Hash live frames and a job; Vignette paints with the LoRAs that `vignette_pictures` wrote."""
    sdxl = write_tiny_sdxl(folder / "sdxl-live")
    factory = functools.partial(_load_painter, folder / "loras-vignette")
    with Engine(factory, bases=("vignette", str(sdxl))) as engine:
        ink, turbo = LoraUse(name="ink", weight=0.7), LoraUse(name="turbo")
        live = {
            "plain": LiveSettings(seed=7),
            "guidance 4": LiveSettings(seed=7, guidance=4.0, negative_prompt=NEGATIVE),
            "turbo": LiveSettings(seed=7, loras=(turbo,)),
            "LoRA, 2 steps": LiveSettings(seed=8, steps=2, loras=(ink,)),
            "sdxl": LiveSettings(seed=7, base=str(sdxl), guidance=4.0, **SMALL),
        }
        for name, settings in live.items():
            for frame in _paint_live(engine, settings):
                yield f"live, {name}, {frame.steps} steps", hash_image(frame.jpeg)
        requests = [GenerationRequest(seed=seed, loras=(turbo,), **PLAIN) for seed in (7, 8)]
        for number, update in enumerate(_paint_job(engine, requests)):
            if isinstance(update, Progress) and update.preview is not None:
                yield f"job, preview {number}", hash_image(update.preview)
            elif isinstance(update, Done):
                for picture in update.pictures:
                    yield f"job, seed {picture.request.seed}", hash_bytes(picture.rgb)


def _load_painter(loras: Path, base: str) -> Painter:
    return never_fold_loras(load_painter(base, loras if base == "vignette" else None))


def _paint_live(engine: Engine, settings: LiveSettings) -> list[Frame]:
    """Return every frame of one prompt, to the final one."""
    updates: queue.Queue[LiveUpdate] = queue.Queue()
    session = engine.open_live(updates.put)
    session.ask(LivePrompt(sequence=1, prompt=PROMPT, settings=settings))
    frames: list[Frame] = []
    while not frames or not frames[-1].final:
        update = updates.get(timeout=TIMEOUT_S)
        if not isinstance(update, Frame):
            raise RuntimeError(f"got no frame: {update.message}")
        frames.append(update)
    session.close()
    return frames


def _paint_job(engine: Engine, requests: Sequence[GenerationRequest]) -> list[JobUpdate]:
    """Return all updates of a job."""
    updates: queue.Queue[JobUpdate] = queue.Queue()
    submit_job(engine, requests, updates.put, strength=0.75)
    seen: list[JobUpdate] = []
    while not seen or not isinstance(seen[-1], Done):
        update = updates.get(timeout=TIMEOUT_S)
        if isinstance(update, Failed):
            raise RuntimeError(f"got no picture: {update.message}")
        seen.append(update)
    return seen

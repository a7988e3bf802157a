"""What the proof calls of Alla Prima.

The functions that a refactoring may rename or reshape are called here and nowhere else in the proof, so that this is
the one file to follow it in.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from allaprima.cli.app import run as run_command
from allaprima.core.events import Event
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.qwen_image.traits import TRAITS as QWEN_IMAGE
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.messages import JobUpdate


def load_painter(
    base: str | Path = "vignette", loras: Path | None = None, *, pictures_per_pass: int = 1, **options: Any
) -> Painter:
    """Return a painter in fp32 on the CPU."""
    return Painter.load(
        str(base),
        lora_dir=loras,
        device="cpu",
        precision="fp32",
        pictures_per_pass=pictures_per_pass,
        **options,
    )


def paint_events(
    painter: Painter,
    requests: Sequence[GenerationRequest],
    *,
    previews: bool = False,
    strength: float | None = None,
) -> Iterator[Event]:
    """Paint, over the picture of `init_image` if there is a strength."""
    return painter.events(*requests, previews=previews, init_image=init_image(requests[0], strength))


def submit_job(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    on_update: Callable[[JobUpdate], None],
    strength: float,
) -> None:
    """Queue a job of pictures over the picture of `init_image`, with previews."""
    engine.submit(requests, on_update, previews=True, init_image=init_image(requests[0], strength))


def init_image(request: GenerationRequest, strength: float | None) -> InitImage | None:
    """Return waves of colour of the request's size, or None without a strength."""
    if strength is None:
        return None
    rows, columns = np.mgrid[: request.height, : request.width]
    waves = [np.sin(rows / 9 + columns / (5 + 4 * channel) + channel) for channel in range(3)]
    rgb = np.stack([127.5 + 100 * wave for wave in waves], axis=-1).astype(np.uint8).tobytes()
    return InitImage(width=request.width, height=request.height, rgb=rgb, strength=strength)


def fold_loras(painter: Painter) -> None:
    """Fold the LoRAs of the last pictures into the weights, as the engine does between requests."""
    assert painter.idle()


def never_fold_loras(painter: Painter) -> Painter:
    """Return the painter, made to leave LoRAs beside the weights.

    When an engine would fold them in depends on the machine's load, and folding changes the last bits of a picture.
    """
    vars(painter)["idle"] = lambda *_, **__: True
    return painter


def use_next_plan(painter: Painter) -> None:
    """Have a painter follow the next plan that takes less memory: tiles first, then networks in turns."""
    assert painter.base.use_next_plan(lambda: None)


@contextlib.contextmanager
def qwen_image_size(width: int, height: int) -> Iterator[None]:
    """Have a Qwen-Image paint at this size meanwhile where nothing says another."""
    with mock.patch.dict(vars(QWEN_IMAGE.defaults), {"width": width, "height": height}):
        yield


def prima(words: str, /, **values: str | Path) -> None:
    """Run a command of `prima`, with all of its output on stderr.

    Args:
        words: the command line, with names in braces where a value stands that may hold spaces.
        values: the values of these names.

    Raises:
        RuntimeError: the command fails.
    """
    arguments = [word.format_map(values) for word in words.split()]
    with contextlib.redirect_stdout(sys.stderr):
        status = run_command(arguments)
    if status:
        raise RuntimeError(f"prima {' '.join(arguments)} ended with {status}")

"""What does it cost to complete a layout from words, where every keystroke brings a new prompt?

    python -m benchmarks.layout_completion --json

Times of the processor, which other programs do not change. The first call reads the tables, once a process.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.harness import RESULTS, Row, report

from allaprima.lab.scenes.captions import caption
from allaprima.lab.scenes.draw import draw_scene
from allaprima.paint.layout.completion import complete, whole_layers
from allaprima.paint.layout.reading import read
from allaprima.paint.layout.vocabulary import LANGUAGES


def main(
    prompts: Annotated[int, typer.Option(help="How many prompts of each language.")] = 500,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    rows = [Row(name="first call", value=_milliseconds("a cat", 0)[0], unit="ms")]
    for language in LANGUAGES:
        texts = [
            caption(draw_scene(seed), random.Random(f"completion {seed}"), language=language)
            for seed in range(prompts)
        ]
        times, whole = zip(*(_milliseconds(text, seed) for seed, text in enumerate(texts)), strict=True)
        ordered = sorted(times)
        median, p95 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
        rows += [
            Row(name=f"a prompt, {language}, p50", value=median, unit="ms", must=2.0, aim=1.0),
            Row(name=f"a prompt, {language}, p95", value=p95, unit="ms", must=2.0),
            Row(
                name=f"all words known, {language}",
                value=sum(whole) / prompts,
                unit="share",
                better="higher",
            ),
        ]
    report("layout_completion", rows, {"prompts": prompts}, as_json=as_json, folder=results)


def _milliseconds(prompt: str, seed: int) -> tuple[float, bool]:
    """Return the processor's time for completing an empty layout, and whether nothing was left open."""
    read.cache_clear()
    started = time.process_time()
    layout = complete((), prompt, seed)
    seconds = time.process_time() - started
    return 1e3 * seconds, "subject" in whole_layers(layout, prompt)


if __name__ == "__main__":
    typer.run(main)

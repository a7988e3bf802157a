"""`prima evaluate retouch`: how well and how fast pictures are retouched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.output import JsonFlag, print_json
from allaprima.cli.paint_options import ModelsDirs
from allaprima.core.progress import progress_bar
from allaprima.core.retouch import SHIPPED_UPSCALER

if TYPE_CHECKING:
    from allaprima.lab.evaluation.measures import Measure


def retouch(
    scenes: Annotated[int, typer.Option(min=1, help="Rendered scenes to enlarge.")] = 100,
    mattes: Annotated[int, typer.Option(min=1, help="Rendered scenes to cut subjects out of.")] = 200,
    upscaler: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The upscaler to measure.")
    ] = SHIPPED_UPSCALER,
    models_dir: ModelsDirs = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure retouching against what must be reached: quality on unseen scenes, time, memory, seams."""
    from allaprima.lab.evaluation.inpainting import measure_inpainting
    from allaprima.lab.evaluation.mattes import measure_mattes, measure_retouching_times
    from allaprima.lab.evaluation.upscaling import UpscalingSettings, measure_upscaling
    from allaprima.lab.scenes.sprites import SpriteCache, large_cache_dir
    from allaprima.paint.painter import Painter
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import Workshop

    retoucher = Retoucher(Workshop(models_dirs=tuple(models_dir or ())))
    settings = UpscalingSettings(scenes=scenes, upscaler=upscaler)
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=scenes)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        rows = measure_upscaling(retoucher, SpriteCache(large_cache_dir()), settings, show)
        rows += measure_mattes(retoucher, SpriteCache(), mattes, show)
        rows += measure_retouching_times(retoucher, SpriteCache())
        rows += measure_inpainting(Painter.load(), show)
    print_measures(rows)
    if as_json:
        print_json(
            {"rows": [row.to_json() for row in rows], "scenes": scenes, "upscaler": Path(upscaler).stem}
        )


def print_measures(rows: list[Measure]) -> None:
    """Print a line for each figure, with what must be reached and what is aimed at."""
    for row in rows:
        value, must, aim = (
            "-" if one is None else f"{one:.3g} {row.unit}" for one in (row.value, row.must, row.aim)
        )
        print(f"{row.name:58} {value:>12}  must {must:>9}  aim {aim:>9}  {row.state}")

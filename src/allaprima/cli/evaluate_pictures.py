"""`prima evaluate pictures`: what an eye sees in Vignette's pictures, in figures, beside those of other weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.evaluate_retouch import print_measures
from allaprima.cli.output import JsonFlag, print_json
from allaprima.core.progress import progress_bar

if TYPE_CHECKING:
    from allaprima.core.progress import OnProgress
    from allaprima.lab.comparison.loaded_weights import LoadedWeights, PictureTools

PAIRS = 50
"""How many pairs are painted where nobody says."""


def pictures(
    weights: Annotated[
        Path | None, typer.Option(help="Folder of the weights to measure. Default: those that ship.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Folder of the weights to compare with. Default: those that ship.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=9, max=100_000,
            help="Pictures painted for each figure, or pairs. Default: 500 pictures, 50 pairs.",
        ),
    ] = None,
    judge: Annotated[
        Path | None, typer.Option("--judge", help="The judge's weights. Default: those that ship.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Measure nothing; write pairs of pictures into this new folder, for people to choose from. Which is "
            "which lies in a file beside it.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Measure how sharp, true and steady pictures are: the same prompts and seeds with two folders of weights."""
    from allaprima.lab.comparison.loaded_weights import LoadedWeights, PictureSettings
    from allaprima.lab.comparison.picture_evaluation import evaluate_pictures

    new, old = LoadedWeights.load(weights), LoadedWeights.load(against)
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        if pairs is not None:
            key = _write_pairs(pairs, new, old, count or PAIRS, show)
        else:
            settings = PictureSettings() if count is None else PictureSettings(pictures=count)
            evaluation = evaluate_pictures(new, old, _tools(judge), settings, show)
    if pairs is not None:
        print(pairs)
        facts = {"rows": [], "paths": {"pairs": str(pairs), "key": str(key)}}
    else:
        print_measures(evaluation.rows)
        for sentence in evaluation.left_out:
            print(sentence)
        facts = evaluation.to_json()
    if as_json:
        print_json(facts)


def _write_pairs(folder: Path, new: LoadedWeights, old: LoadedWeights, count: int, show: OnProgress) -> Path:
    from allaprima.lab.comparison.asked_pictures import captioned, paint_asked
    from allaprima.lab.comparison.blind_pairs import write_pairs
    from allaprima.lab.comparison.picture_evaluation import FEW

    _, asked = captioned(count)
    mine, theirs = (paint_asked(side.painter, asked, FEW, "pairs", show) for side in (new, old))
    return write_pairs(folder, asked, mine, theirs)


def _tools(judge: Path | None) -> PictureTools:
    from allaprima.core.errors import AssetError
    from allaprima.core.retouch import CutOut
    from allaprima.lab.comparison.loaded_weights import PictureTools
    from allaprima.lab.evaluation.features import ImageFeatures
    from allaprima.lab.evaluation.judge import load_judge
    from allaprima.lab.scenes.sprites import SpriteCache
    from allaprima.paint.retouch.finders import get_finder
    from allaprima.paint.retouch.work import Workshop

    network, accuracy = load_judge(judge)
    try:
        features = ImageFeatures.load()
    except AssetError:
        features = None
    matte, sprites = get_finder(CutOut(), Workshop()), SpriteCache()
    return PictureTools(judge=network, accuracy=accuracy, matte=matte, features=features, sprites=sprites)

"""`prima evaluate deblock`: what a de-block network gives and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.evaluate_retouch import print_measures
from allaprima.cli.output import JsonFlag, print_json
from allaprima.core.progress import progress_bar


def deblock(
    network: Annotated[Path, typer.Argument(help="Weight file that `prima train release` wrote.")],
    store: Annotated[Path, typer.Option(help="Scene store.")],
    painted: Annotated[Path, typer.Option(help="What `prima train painted` made of its first latent cache.")],
    decoder: Annotated[
        Path | None, typer.Option(help="Weight file of the autoencoder. Default: the one that ships.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure a de-block network: PSNR gained on pictures of few steps that it has not seen, size and time."""
    import torch

    from allaprima.lab.comparison.deblocking import measure_deblocking
    from allaprima.lab.retouch.deblock import PaintedPairs
    from allaprima.lab.training.painted import PaintedStore
    from allaprima.lab.training.scenes import SceneStore
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device, pick_dtype
    from allaprima.paint.retouch.network_files import load_deblock_network

    device = pick_device()
    loaded = load_deblock_network(network, device, pick_dtype(device))
    path = decoder or weights_folder() / "autoencoder.safetensors"
    pairs = PaintedPairs(
        store=SceneStore.open(store), painted=PaintedStore.open(painted),
        autoencoder=load_autoencoder(path, device, torch.float32),
    )  # fmt: skip
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        rows = measure_deblocking(network, loaded, pairs, show)
    print_measures(rows)
    if as_json:
        print_json({"rows": [row.to_json() for row in rows], "pairs": len(pairs.held_out)})

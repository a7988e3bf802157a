"""`prima train deblock`: the network that takes away what few steps leave in pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.loop_options import Batch, Decay, LoopOptions, Rate, Run, SaveEvery, Updates, prepare
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag
from allaprima.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DeblockLoop(LoopOptions):
    """The loop's options as the de-block network wants them."""

    steps: Updates = 6000
    batch: Batch = 8
    rate: Rate = 1e-3
    decay: Decay = 3000
    save_every: SaveEvery = 200


@spread_options
def deblock(
    run: Run,
    loop: DeblockLoop,
    store: Annotated[Path, typer.Option(help="Scene store.")],
    painted: Annotated[
        Path, typer.Option(help="What `prima train painted` made of the store's first latent cache.")
    ],
    decoder: Annotated[
        Path | None, typer.Option(help="Weight file of the autoencoder. Default: the one that ships.")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, max=1024, help="Channels of the convolutions.")] = 64,
    fold: Annotated[int, typer.Option(min=1, max=8, help="Pixels a side that become channels.")] = 2,
    crop: Annotated[
        int, typer.Option(min=16, max=256, help="Side of the crops, a multiple of the fold.")
    ] = 128,
    json_: JsonFlag = False,
) -> None:
    """Train the network that takes blocks out of pictures painted in few steps."""
    import torch

    from allaprima.lab.retouch.deblock import DeblockTask, PaintedPairs
    from allaprima.lab.training.painted import PaintedStore
    from allaprima.lab.training.scenes import SceneStore
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device
    from allaprima.paint.retouch.deblock import DeblockConfig, DeblockNetwork

    if crop % fold:
        raise UserError(f"got --crop {crop}; expected a multiple of --fold {fold}")
    prepare(loop.seed, loop.threads)
    path = decoder or weights_folder() / "autoencoder.safetensors"
    pairs = PaintedPairs(
        store=SceneStore.open(store), painted=PaintedStore.open(painted),
        autoencoder=load_autoencoder(path, pick_device(), torch.float32),
    )  # fmt: skip
    network = DeblockNetwork(DeblockConfig(channels=channels, fold=fold))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loop.train(network, DeblockTask(pairs=pairs, crop=crop), run, json_, ema_decay=0.998, warmup_steps=100)

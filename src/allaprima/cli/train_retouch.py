"""`prima train pictures` and `prima train upscaler`: how what `prima retouch` works with is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.loop_options import Batch, Decay, LoopOptions, Rate, Run, Updates, prepare, report
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag


def pictures(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 1000,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 900_000_000,
    processes: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    json_: JsonFlag = False,
) -> None:
    """Draw large pictures to learn upscaling from, and let Vignette's autoencoder paint them small."""
    from allaprima.lab.retouch.pictures import PicturesConfig, build_pictures
    from allaprima.lab.scenes.sprites import large_cache_dir
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device, pick_dtype

    device = pick_device()
    autoencoder = load_autoencoder(weights_folder() / "autoencoder.safetensors", device, pick_dtype(device))
    config = PicturesConfig(count=count, first_seed=first_seed)
    build_pictures(folder, config, autoencoder, large_cache_dir(), processes=processes)
    report({"pictures": str(folder), **asdict(config)}, json_)


@dataclass(frozen=True, kw_only=True)
class UpscalerLoop(LoopOptions):
    """The loop's options as an upscaler wants them."""

    steps: Updates = 20_000
    batch: Batch = 16
    rate: Rate = 2e-3
    decay: Decay = 6000


@spread_options
def upscaler(
    run: Run,
    store: Annotated[list[Path], typer.Option("--store", help="Large pictures; several may be given.")],
    loop: UpscalerLoop,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the convolutions.")] = 32,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of convolutions.")] = 5,
    crop: Annotated[int, typer.Option(min=16, max=512, help="Side of the crops in pixels, even.")] = 96,
    json_: JsonFlag = False,
) -> None:
    """Train the upscaler that ships on large pictures."""
    import torch

    from allaprima.lab.retouch.pictures import LargePictures
    from allaprima.lab.retouch.upscaler import UpscaleTask
    from allaprima.paint.retouch.upscaler import Upscaler, UpscalerConfig

    prepare(loop.seed, loop.threads)
    model = Upscaler(UpscalerConfig(channels=channels, pairs=pairs)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = UpscaleTask(stores=tuple(LargePictures.open(one) for one in store), crop=crop)
    loop.train(model, task, run, json_)

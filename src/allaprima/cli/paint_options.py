"""The options of `prima paint`, in four groups, and types for those that other commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Size = Annotated[str | None, typer.Option(help="Width x height in pixels. Default: the base's own.")]
ModelsDirs = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of models, as ComfyUI and A1111 keep them, or an extra_model_paths.yaml; may be given again."
    ),
]
TextEncoderFile = Annotated[
    str | None,
    typer.Option(
        "--text-encoder",
        help="File of the text encoder, or its name in --models-dir, for a base in several files. Default: the "
        "one that fits.",
        show_default=False,
    ),
]
VaeFile = Annotated[
    str | None,
    typer.Option(
        "--vae",
        help="File of the autoencoder (VAE), or its name in --models-dir, for a base in several files. Default: "
        "the one that fits.",
        show_default=False,
    ),
]
LoraDir = Annotated[
    Path | None,
    typer.Option(
        "--lora-dir",
        help="Folder of LoRAs. Default: models/lora, or else loras or Lora in --models-dir.",
        show_default=False,
    ),
]
WildcardDir = Annotated[
    Path | None,
    typer.Option(
        "--wildcard-dir",
        help="Folder of wildcards: __animal__ in a prompt is a line of animal.txt. Default: models/wildcards, or "
        "else wildcards in --models-dir.",
        show_default=False,
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(help="GiB that painting may take; see prima plan. Default: as much as there is."),
]
Quantize = Annotated[
    Literal["fp8", "int8", "nf4"] | None,
    typer.Option(
        help="Round the weights of text encoder and denoiser to 8 or 4 bits as they are read. Default: do not."
    ),
]

Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="first-block, or first-block:THRESHOLD (0 to 1): steps that change little reuse what the step before "
        "computed, quicker and less exact. Default: none.",
        show_default=False,
    ),
]


ContentCredentialsFiles = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--c2pa",
        metavar="CERT KEY",
        help="Sign pictures as C2PA content credentials with this certificate chain and key (PEM). Default: do not.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What the pictures are to be."""

    steps: Annotated[int | None, typer.Option(help="Sampler steps, 1 to 1000. Default: the base's own.")] = (
        None
    )
    guidance: Annotated[
        float | None,
        typer.Option(
            help="How closely to follow the prompt, 0 to 30; 1 is fastest. Default: the base's own."
        ),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of the first picture. Default: a random one.")] = None
    count: Annotated[int, typer.Option(help="How many pictures; their seeds follow each other.")] = 1
    size: Size = None
    negative: Annotated[str | None, typer.Option(help="What not to paint.")] = None
    quality: Annotated[
        Literal["high", "medium"] | None,
        typer.Option(
            help="high: JPEG and WebP quality 95, the base's fine decoder. medium: 80, and the quicker decoder of a "
            "base that has two. Default: high."
        ),
    ] = None
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Paint again what this picture was painted from; other options override it."
        ),
    ] = None
    base: Annotated[
        str | None,
        typer.Option(
            help="vignette, a model folder, a .safetensors or .gguf file, a name in --models-dir, or a hub id in the "
            "cache. Default: vignette."
        ),
    ] = None
    schedule: Annotated[
        str | None, typer.Option(help="Noise levels by name, such as lightning. Default: the base's own.")
    ] = None
    lora: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME:WEIGHT of a LoRA in --lora-dir; may be given again."),
    ] = None
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Picture to look at, in bases that do, such as FLUX.2 klein; may be given again."),
    ] = None
    layout: Annotated[
        str | None,
        typer.Option(
            help='What stands where, in bases that read it: a JSON list of things such as {"kind": "cat", "box": '
            "[0.1, 0.4, 0.5, 0.9]}, from back to front, or a file with one. Default: nothing is said.",
            show_default=False,
        ),
    ] = None
    no_complete_layout: Annotated[
        bool,
        typer.Option(
            "--no-complete-layout",
            help="Say nothing of what --layout leaves open. Default: it is completed from the seed.",
        ),
    ] = False
    no_turbo: Annotated[
        bool,
        typer.Option(
            "--no-turbo",
            help="Paint with the plain base. Default: a LoRA called turbo that fits the base is worn, so that few "
            "steps do.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What the pictures are painted over."""

    init: Annotated[
        Path | None,
        typer.Option(
            help="Picture to start from, scaled and cut to the size that is painted. Default: none."
        ),
    ] = None
    strength: Annotated[
        float | None,
        typer.Option(
            help="How much of --init is painted over: 0 keeps it, 1 forgets it. Default: 0.75; 1 with --mask or "
            "--outpaint."
        ),
    ] = None
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Picture of the size of --init that says what is painted: white, or, where a pixel of it is "
            "transparent, transparent. The rest stays to the bit. Default: all is painted."
        ),
    ] = None
    feather: Annotated[
        int | None,
        typer.Option(
            help="Pixels over which what is painted fades in at its edge, 0 to 64. Default: 8; 16 with --outpaint."
        ),
    ] = None
    padding: Annotated[
        int | None,
        typer.Option(
            help="Paint a window of --init at the base's size, with so many pixels around the mask, and put it back. "
            "Default: the whole picture."
        ),
    ] = None
    outpaint: Annotated[
        str | None,
        typer.Option(help="Sides to extend --init on, in pixels, such as left=64,top=32. Default: none."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Where a base and its LoRAs lie, and how it computes."""

    models_dir: ModelsDirs = None
    text_encoder: TextEncoderFile = None
    vae: VaeFile = None
    lora_dir: LoraDir = None
    wildcard_dir: WildcardDir = None
    precision: Annotated[
        Literal["auto", "bf16", "fp32", "fp16"],
        typer.Option(help="Number format. auto: bf16 where the device multiplies it, else fp32."),
    ] = "auto"
    memory: Memory = None
    quantize: Quantize = None
    cache: Cache = None
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder with Vignette's weights of your own training. Default: those that ship."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where the pictures go, and in which form."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, or a folder, or - for stdout. Default: a new file named after the prompt.",
        ),
    ] = None
    file_format: Annotated[
        Literal["png", "jpeg", "webp"] | None, typer.Option("--format", help="Default: what -o says, or png.")
    ] = None
    c2pa: ContentCredentialsFiles = None
    previews: Annotated[bool, typer.Option("--previews", help="Also write the picture after every step.")] = (
        False
    )

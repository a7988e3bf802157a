"""The options of `prima paint`, each a type that says what the command line calls it and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Prompt = Annotated[str | None, typer.Argument(help="What to paint.", show_default=False)]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="File to write, or a folder. Default: a new file named after the prompt."
    ),
]
Steps = Annotated[int | None, typer.Option(help="Sampler steps, 1 to 1000. Default: the base's own.")]
Guidance = Annotated[
    float | None,
    typer.Option(help="How closely to follow the prompt, 0 to 30; 1 is fastest. Default: the base's own."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the first picture. Default: a random one.")]
Count = Annotated[int, typer.Option(help="How many pictures; their seeds follow each other.")]
Size = Annotated[str | None, typer.Option(help="Width x height in pixels. Default: the base's own.")]
Negative = Annotated[str | None, typer.Option(help="What not to paint.")]
Format = Annotated[
    Literal["png", "jpeg", "webp"] | None, typer.Option("--format", help="Default: what -o says, or png.")
]
PictureQuality = Annotated[
    Literal["high", "medium"] | None, typer.Option(help="JPEG and WebP quality: 95 or 80. Default: high.")
]
Previews = Annotated[bool, typer.Option("--previews", help="Also write the picture after every step.")]
Source = Annotated[
    Path | None,
    typer.Option("--from", help="Paint again what this picture was painted from; other options override it."),
]
BaseName = Annotated[
    str | None,
    typer.Option(
        help="vignette, a model folder, a .safetensors file, a name in --models-dir, or a hub id in the "
        "cache. Default: vignette."
    ),
]
ModelsDirs = Annotated[
    list[Path] | None,
    typer.Option(help="Folder of models, as ComfyUI and A1111 keep them; may be given again."),
]
ScheduleName = Annotated[
    str | None, typer.Option(help="Noise levels by name, such as lightning. Default: the base's own.")
]
LoraNames = Annotated[
    list[str] | None, typer.Option(help="NAME or NAME:WEIGHT of a LoRA in --lora-dir; may be given again.")
]
LoraDir = Annotated[
    Path | None, typer.Option("--lora-dir", help="Folder of LoRAs. Default: models/lora.", show_default=False)
]
NoTurbo = Annotated[
    bool,
    typer.Option(
        "--no-turbo",
        help="Paint with the plain base. Default: a LoRA called turbo that fits the base is worn, so that few "
        "steps do.",
    ),
]
PrecisionName = Annotated[
    Literal["auto", "bf16", "fp32", "fp16"],
    typer.Option(help="Number format. auto: bf16 where the device multiplies it, else fp32."),
]
Memory = Annotated[
    float | None,
    typer.Option(help="GiB that painting may take; see prima plan. Default: as much as there is."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Folder with Vignette's weights of your own training. Default: those that ship."),
]

"""`prima plan`: what a base will take of the memory, before any of it is taken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.output import JsonFlag, check_memory, print_json, printable
from allaprima.cli.paint_options import ModelsDirs, Quantize, Size, TextEncoderFile, VaeFile
from allaprima.core.errors import RequestError
from allaprima.core.infotext import parse_size
from allaprima.core.request import MAX_SIDE_PX

if TYPE_CHECKING:
    from allaprima.paint.memory.plan import MemoryForecast

app = typer.Typer()

GIB = 2**30


@app.command()
def plan(
    base: Annotated[str, typer.Option(help="What to paint with, as for prima paint.")] = "vignette",
    memory: Annotated[
        float | None, typer.Option(help="GiB that may be taken. Default: as much as there is.")
    ] = None,
    size: Size = None,
    count: Annotated[
        int, typer.Option(help="Pictures that share a pass; prima paint takes one after the other.")
    ] = 1,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda. Default: the first GPU, or else the CPU.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, bf16, fp32 or fp16.")] = "auto",
    quantize: Quantize = None,
    models_dir: ModelsDirs = None,
    text_encoder: TextEncoderFile = None,
    vae: VaeFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what would be resident, what would come and go, what would be tiled, and the peak; weights are not read.

    Plans are listed from the quickest to the thriftiest; the first that fits is the one prima paint takes.
    """
    check_memory(memory)
    if not 1 <= count <= 64:
        raise RequestError(f"got count {count}; expected 1 to 64")
    width, height = (None, None) if size is None else _checked_size(size)
    # Here, not above: torch takes seconds to import, and a mistake in the options is to be told at once.
    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import locate
    from allaprima.paint.device.precision import choose_dtype, pick_device
    from allaprima.paint.memory.forecast import forecast
    from allaprima.paint.memory.plan import choose_plan, gib

    on = pick_device(device, elsewhere=True)
    dtype = choose_dtype(on, precision)
    named = NamedParts(text_encoder=text_encoder, vae=vae)
    forecasts = forecast(
        base, width=width, height=height, device=on, dtype=dtype, count=count, models_dirs=models_dir or (),
        named=named, quantize=quantize,
    )  # fmt: skip
    if joined := locate(base, models_dir or (), named).joined():
        print(f"prima: {printable(joined)}", file=sys.stderr)
    chosen = forecasts[0] if memory is None else choose_plan(forecasts, int(memory * GIB), str(on))
    for one in forecasts:
        print(f"{'*' if one is chosen else ' '} {one.plan!s:<20}{gib(one.needed_bytes):>12}")
    _explain(chosen)
    if as_json:
        print_json({
            "base": base,
            "device": str(on),
            "precision": str(dtype).removeprefix("torch."),
            "quantize": quantize,
            "memory": memory,
            "chosen": chosen.to_json(),
            "plans": [one.to_json() for one in forecasts],
        })  # fmt: skip


def _checked_size(text: str) -> tuple[int, int]:
    """Return width and height, which must be those of a picture that can be asked for."""
    width, height = parse_size(text)
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise RequestError(f"got size {width}x{height}; expected sides of 1 to {MAX_SIDE_PX} pixels")
    return width, height


def _explain(chosen: MemoryForecast) -> None:
    coming = {
        "resident": "",
        "turns": "one after the other",
        "streamed": "text encoder by turns, denoiser layer by layer with prefetch",
        "sequential": "layer by layer",
    }[chosen.plan.residency]
    print(f"resident:  {_parts(chosen.resident)}")
    if chosen.visiting:
        print(f"come, go:  {_parts(chosen.visiting)}; {coming}")
    print(f"tiled:     {'autoencoder, tiles of at most 512 pixels' if chosen.plan.tiled else 'nothing'}")
    if chosen.reserve:
        print(f"reserved:  {chosen.reserve / GIB:.2f} GiB for the driver, counted in the list above")
    moments = ", ".join(f"{name} {size / GIB:.2f}" for name, size in chosen.bytes_by_moment.items())
    print(f"GiB while: {moments}")


def _parts(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {size / GIB:.2f} GiB" for name, size in sizes.items())

"""`prima scenes`: the pictures that models are trained on, to build what they need and to look at them."""

from __future__ import annotations

import io
import random
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.output import JsonFlag, print_json
from allaprima.core.errors import UserError
from allaprima.core.files import check_target, write_whole
from allaprima.core.progress import progress_bar
from allaprima.lab.scenes.spec import Style

app = typer.Typer(
    no_args_is_help=True, help="Training pictures: build their sprites, look at a sheet of them."
)

MOST_SCENES = 400
MOST_BACKGROUNDS = 1000


@app.command()
def build(
    npm_root: Annotated[
        Path | None,
        typer.Option(help="A node_modules folder with the icon packages. Default: install them with npm."),
    ] = None,
    style: Annotated[Style | None, typer.Option(help="Only this icon style. Default: all four.")] = None,
    large: Annotated[
        bool, typer.Option("--large", help="Twice the size, for the pictures that upscaling is learned from.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Rasterise the icons that scenes are made of into the cache (about 20 seconds a style)."""
    from allaprima.core.user_paths import default_cache_dir
    from allaprima.lab.scenes.build import PACKAGES, build_sprites, icon_packages, install_packages
    from allaprima.lab.scenes.sprites import (
        LARGE_SPRITE_SIZE,
        SPRITE_SIZE,
        large_cache_dir,
    )

    started = time.perf_counter()
    cache_dir = large_cache_dir() if large else default_cache_dir()
    styles = (style,) if style is not None else tuple(PACKAGES)
    if npm_root is None:
        print("installing the icon packages with npm", file=sys.stderr)
        npm_root = install_packages(default_cache_dir(), icon_packages(styles))
    with progress_bar() as bar:
        tasks = {name: bar.add_task(name, total=None) for name in styles}
        made = build_sprites(
            npm_root,
            cache_dir,
            lambda name, done, total: bar.update(tasks[name], completed=done, total=total),
            styles=styles,
            size=LARGE_SPRITE_SIZE if large else SPRITE_SIZE,
        )
    print(f"{sum(made.values())} sprites in {cache_dir}")
    if as_json:
        print_json({"cache": str(cache_dir), "sprites": made, "seconds": time.perf_counter() - started})


@app.command()
def sheet(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")] = Path(
        "scenes.png"
    ),
    count: Annotated[int, typer.Option(help="How many scenes, 1 to 400.")] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the first scene; the others follow it.")] = 0,
    style: Annotated[Style, typer.Option(help="Icon style.")] = "fluent",
    as_json: JsonFlag = False,
) -> None:
    """Paint scenes with their captions onto one picture."""
    from allaprima.lab.scenes.captions import caption
    from allaprima.lab.scenes.draw import draw_scene
    from allaprima.lab.scenes.sheet import contact_sheet
    from allaprima.lab.scenes.sprites import SpriteCache

    if not 1 <= count <= MOST_SCENES:
        raise UserError(f"--count is {count}; expected 1 to {MOST_SCENES}")
    check_target(output)
    started = time.perf_counter()
    scenes = [draw_scene(seed + index, split="any", style=style) for index in range(count)]
    captions = [caption(scene, random.Random(f"caption {scene.seed}")) for scene in scenes]
    picture = contact_sheet(scenes, captions, SpriteCache())
    picture.save(packed := io.BytesIO(), format="PNG")
    write_whole(output, packed.getvalue(), overwrite=True)
    print(output)
    if as_json:
        seconds = time.perf_counter() - started
        print_json({"file": str(output), "count": count, "seed": seed, "style": style, "seconds": seconds})


@app.command()
def layouts(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "renders.safetensors"
    ),
    backgrounds: Annotated[int, typer.Option(help="How many of each place, 1 to 1000.")] = 64,
    seed: Annotated[
        int, typer.Option(help="Seed of the first background; the others follow it.")
    ] = 7_000_000,
    as_json: JsonFlag = False,
) -> None:
    """Note down what layouts are completed from: backgrounds, and the outline of every kind (half a minute)."""
    from allaprima.lab.scenes.records import record_renders
    from allaprima.lab.scenes.sprites import SpriteCache
    from allaprima.paint.layout.renders import pack_renders

    if not 1 <= backgrounds <= MOST_BACKGROUNDS:
        raise UserError(f"--backgrounds is {backgrounds}; expected 1 to {MOST_BACKGROUNDS}")
    check_target(output)
    started = time.perf_counter()
    renders = record_renders(SpriteCache(), backgrounds=backgrounds, first_seed=seed)
    recipe = f"prima scenes layouts --backgrounds {backgrounds} --seed {seed}"
    write_whole(output, pack_renders(renders, recipe), overwrite=True)
    print(output)
    if as_json:
        things = sum(len(drawn.things) for every in renders.backgrounds.values() for drawn in every)
        print_json(
            {
                "file": str(output),
                "bytes": output.stat().st_size,
                "backgrounds": backgrounds,
                "things": things,
                "outlines": len(renders.outlines),
                "seconds": time.perf_counter() - started,
            }
        )

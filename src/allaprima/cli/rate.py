"""`prima rate`: two pictures side by side without names, and a key for the better one."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.edge import EndedError
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, note_finished, print_json, printable
from allaprima.cli.paint_options import LoraDir, ModelsDirs
from allaprima.core.errors import AssetError, UserError
from allaprima.core.files import check_target, slug, write_whole
from allaprima.core.request import MAX_SEED
from allaprima.core.sample_prompts import SAMPLE_PROMPTS, sample_prompts
from allaprima.core.specification import Specification
from allaprima.core.user_paths import expand, is_folder

if TYPE_CHECKING:
    from allaprima.studio.rating.folders import RatedFolder
    from allaprima.studio.rating.votes import Votes

app = typer.Typer()

MAX_PICTURES = 10_000


@dataclass(frozen=True, kw_only=True)
class SpecifiedOptions:
    """What specifications paint, and with what."""

    prompts: Annotated[
        Path | None, typer.Option(help="Text file with a prompt in each line. Default: ours, 24.")
    ] = None
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_PICTURES,
            help="Pictures of each specification. Default: one a prompt.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[
        int, typer.Option(min=0, max=2**32, help="Seed of the first picture, and of the order of pairs.")
    ] = 0
    base: Annotated[str, typer.Option(help="Base of specifications that name none.")] = "vignette"
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None
    models_dir: ModelsDirs = None
    lora_dir: LoraDir = None


@app.command()
@spread_options
def rate(
    rated: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...",
            help="Folders of pictures with the same names, or ways of painting such as turbo:4, plain:50, "
            "lora:ink:0.8, steps:8,guidance:3.",
            show_default=False,
        ),
    ],
    painting: SpecifiedOptions,
    pairs: Annotated[
        int | None,
        typer.Option(min=1, help="Pairs to show. Default: every two of each picture.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the votes, and for pictures that are painted.")
    ] = Path("ratings"),
    csv: Annotated[
        Path | None, typer.Option("--csv", help="File for the votes as a table.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 7861,
    results: Annotated[
        bool, typer.Option("--results", help="Tell what the votes so far come to, and show no page.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show pairs of pictures without names, keep your votes, and tell which is preferred and how surely.

    The page at the address that is printed needs the keyboard alone. A vote is on the disk before the next pair is
    shown; the same command continues where it was left.
    """
    from allaprima.studio.rating.pairing import draw_pairs
    from allaprima.studio.rating.votes import Votes

    specifications = {text: _specification(text) for text in rated}
    prompts = _read_prompts(painting)
    if csv is not None:
        check_target(csv)
    folders = _open_folders(specifications, painting, prompts, output)
    names = [folder.name for folder in folders]
    pictures = _common(folders)
    digest, place = _digest(folders, pictures), _votes_file(names, output)
    if results and not place.is_file():
        raise UserError(f"got --results, and there is no vote in {place}; expected votes, given on the page")
    votes = Votes(place, names, draw_pairs(len(names), pictures, painting.seed, pairs), digest)
    note_finished(votes=str(place))
    try:
        if not results:
            _serve(votes, folders, port)
    finally:
        if csv is not None:
            write_whole(csv, votes.to_csv().encode(errors="surrogateescape"), overwrite=True)
        _print_results(votes, place)
    if as_json:
        table = {} if csv is None else {"csv": str(csv)}
        print_json({**votes.ranking().to_json(), "pairs": len(votes.pairs), "file": str(place), **table})


def _specification(text: str) -> Specification | None:
    """Return what is to be painted; None for a folder of pictures."""
    folder = expand(Path(text))
    if text.strip() and (is_folder(folder) or (folder.name != text and ":" not in text)):
        return None
    return Specification.parse(text)


def _read_prompts(options: SpecifiedOptions) -> list[str]:
    if options.prompts is None:
        return sample_prompts(options.count or len(SAMPLE_PROMPTS))
    try:
        lines = options.prompts.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {options.prompts}: expected a text file with a prompt in each line"
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(prompts) <= MAX_PICTURES:
        raise UserError(f"got {len(prompts):,} prompts in {options.prompts}; expected 1 to {MAX_PICTURES:,}")
    count = options.count or len(prompts)
    return [prompts[number % len(prompts)] for number in range(count)]


def _open_folders(
    specifications: dict[str, Specification | None],
    options: SpecifiedOptions,
    prompts: Sequence[str],
    output: Path,
) -> list[RatedFolder]:
    """Paint what is to be painted, and return the folders that are rated."""
    from allaprima.studio.rating.folders import read_folder

    folders = {text: expand(Path(text)) for text in specifications}
    for text, specification in specifications.items():
        if specification is None:
            read_folder(text, folders[text])  # what is wrong with it is told before anything is painted
    for text, specification in specifications.items():
        if specification is not None:
            folders[text] = output / _painted_folder(text, options, prompts)
            _paint(specification, folders[text], options, prompts)
    return [read_folder(text, folder) for text, folder in folders.items()]


def _painted_folder(text: str, options: SpecifiedOptions, prompts: Sequence[str]) -> str:
    """Return a name for the folder of a specification's pictures: other prompts and seeds are other pictures."""
    asked: tuple[Any, ...] = (text, options.seed, options.base, *prompts)
    return f"{slug(text)}-{hashlib.sha256(repr(asked).encode()).hexdigest()[:8]}"


def _paint(
    specification: Specification, folder: Path, options: SpecifiedOptions, prompts: Sequence[str]
) -> None:
    from allaprima.cli.specified_pictures import PictureOrders, paint_specified

    loading = {
        "base": options.base, "folder": options.weights, "models_dirs": options.models_dir or (),
        "lora_dir": options.lora_dir,
    }  # fmt: skip
    seed = min(options.seed, MAX_SEED - len(prompts))
    painted = paint_specified(
        specification, folder, PictureOrders(prompts=prompts, seed=seed, loading=loading)
    )
    print(
        f"prima: {printable(specification.text)}: {painted} painted, in {printable(str(folder))}",
        file=sys.stderr,
    )


def _common(folders: Sequence[RatedFolder]) -> list[str]:
    from allaprima.studio.rating.folders import common_pictures

    pictures, others = common_pictures(folders)
    if others:
        print(f"prima: {others} pictures are left out, for not all folders have them", file=sys.stderr)
    return pictures


def _digest(folders: Sequence[RatedFolder], pictures: Sequence[str]) -> str:
    from allaprima.studio.rating.folders import digest_of

    return digest_of(folders, pictures)


def _votes_file(names: Sequence[str], output: Path) -> Path:
    told = "-".join(slug(name)[:20] for name in names[:3])
    return output / f"votes-{told}-{hashlib.sha256(repr(names).encode()).hexdigest()[:8]}.jsonl"


def _serve(votes: Votes, folders: Sequence[RatedFolder], port: int) -> None:
    """Show the page until the person has finished; Ctrl+C finishes too."""
    try:
        import uvicorn

        from allaprima.cli.serve import bind
        from allaprima.studio.rating.app import create_rating_app
        from allaprima.studio.server.app import server_options
        from allaprima.studio.server.log_lines import write_log
        from allaprima.studio.server.settings import ServerSettings
    except ImportError as error:
        raise AssetError(
            'the packages of the studio are missing; expected them for the page, pip install "allaprima[studio]"'
        ) from error
    write_log(sys.stderr)
    settings = ServerSettings(port=port)
    with bind(settings) as bound:
        server: uvicorn.Server

        def close() -> None:
            server.should_exit = True

        server = uvicorn.Server(
            uvicorn.Config(create_rating_app(votes, folders, settings, close), **server_options(settings))
        )
        address = f"http://{settings.host}:{bound.getsockname()[1]}"
        print(
            f"Rate at {address}; {len(votes.next_pairs)} pairs wait. Ctrl+C ends it, votes stay", flush=True
        )
        try:
            server.run([bound])
        except EndedError:
            raise
        except KeyboardInterrupt:
            pass


def _print_results(votes: Votes, place: Path) -> None:
    ranking = votes.ranking()
    print(f"{ranking.votes} of {len(votes.pairs)} pairs judged; votes in {printable(str(place))}")
    if not ranking.votes:
        return
    for one in ranking.standings:
        told = f"{one.score.value:5.1f} %  ({one.score.low:.1f} to {one.score.high:.1f})"
        print(
            f"{printable(one.name):32} preferred {told}  {one.wins} won, {one.ties} tied, {one.losses} lost"
        )
    best = ranking.standings[0]
    if best.score.tells_apart:
        print(f"{printable(best.name)} is preferred")
    else:
        print("these votes do not tell which is better")

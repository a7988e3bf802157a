"""`prima cluster`: replicas on other machines, one by hand or many by Ray Serve, for a studio that lets them join."""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.loader_options import LoaderOptions
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, print_json
from allaprima.core.errors import UserError
from allaprima.core.files import write_whole

if TYPE_CHECKING:
    from allaprima.cli.serve import Makers
    from allaprima.studio.cluster.replica_process import ReplicaPlan

app = typer.Typer(no_args_is_help=True, help="Replicas on other machines for prima serve --join-at.")
StudioAddress = Annotated[
    str, typer.Argument(help="Where the studio lets replicas join, such as 10.0.0.1:7870.")
]


def plan_of(makers: Makers) -> ReplicaPlan:
    """Return what a replica that loads bases so is made of."""
    from allaprima.studio.cluster.replica_process import ReplicaPlan

    return ReplicaPlan(
        painter_factory=makers.load_on, bases=tuple(makers.specs), models_dirs=makers.models_dirs,
        device=makers.device,
    )  # fmt: skip


@app.command()
@spread_options
def join(studio: StudioAddress, bases: LoaderOptions, as_json: JsonFlag = False) -> None:
    """Paint for a studio on another machine until Ctrl+C, which finishes the picture under way."""
    from allaprima.cli.replicas import write_replica_log
    from allaprima.studio.cluster.guest import Guest
    from allaprima.studio.cluster.meeting_point import cluster_key, dial, parse_address

    host, port = parse_address(studio)
    key = cluster_key()
    guest = Guest(plan=plan_of(bases.makers()), dial_cluster=partial(dial, host, port, key))

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        print("prima: leaving when the job under way is done", file=sys.stderr)
        guest.leave()
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, before[ending])  # the second time is meant

    before = {ending: signal.signal(ending, leave) for ending in (signal.SIGINT, signal.SIGTERM)}
    write_replica_log()
    guest.run()
    if as_json:
        print_json({"studio": studio, "left": True})


@app.command()
@spread_options
def deploy(
    studio: StudioAddress,
    bases: LoaderOptions,
    replicas: Annotated[int, typer.Option(min=1, max=4096, help="How many replicas.")] = 2,
    gpus: Annotated[float, typer.Option(min=0, max=16, help="GPUs of each; 0 for none.")] = 1.0,
    cpus: Annotated[float, typer.Option(min=0.1, max=1024, help="Cores of each.")] = 1.0,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file that is written.")] = Path(
        "allaprima-serve.yaml"
    ),
    as_json: JsonFlag = False,
) -> None:
    """Write what Ray Serve is to run, and say how: it starts the replicas, and starts those anew that die."""
    from allaprima.studio.cluster.meeting_point import KEY_VARIABLE, parse_address
    from allaprima.studio.cluster.serve_config import serve_config, yaml_text

    _, port = parse_address(studio)
    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"got -o {output}; expected a name that ends in .yaml")
    if bases.memory is not None and bases.memory <= 0:
        raise UserError(f"got --memory {bases.memory:g}; expected more than 0 GiB")
    given = {name: _plain(value) for name, value in asdict(bases).items() if value is not None}
    config = serve_config({"studio": studio, **given}, replicas=replicas, gpus=gpus, cpus=cpus)
    path = write_whole(output, yaml_text(config).encode(), overwrite=True)
    commands = [
        f"export {KEY_VARIABLE}=...                  # the same on every machine; openssl rand -hex 16 makes one",
        f"prima serve --replicas 0 --join-at 0.0.0.0:{port}   # the studio",
        "ray start --head                                # on one machine, with allaprima[cluster] installed",
        "ray start --address=HEAD:6379                   # on each of the others",
        f"serve deploy {path}",
    ]
    print(path)
    print("prima: run these, in this order:", *(f"  {line}" for line in commands), sep="\n", file=sys.stderr)
    if as_json:
        print_json(
            {
                "path": str(path),
                "replicas": replicas,
                "commands": [line.partition(" #")[0].strip() for line in commands],
            }
        )


def _plain(value: Any) -> Any:
    """Return a value of an option as YAML has it."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value

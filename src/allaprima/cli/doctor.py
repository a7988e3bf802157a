"""`prima doctor`: what this machine has, what is amiss, and what would make it quicker."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.output import JsonFlag, print_json, printable
from allaprima.core.errors import UserError

app = typer.Typer()

MARKS = {"fine": " ", "slow": "~", "wrong": "!"}


@app.command()
def doctor(
    gallery: Annotated[Path, typer.Option(help="Folder that keeps the studio's pictures.")] = Path("gallery"),
    lora_dir: Annotated[Path, typer.Option(help="Folder of LoRAs.")] = Path("models/lora"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The studio's port.")] = 7860,
    as_json: JsonFlag = False,
) -> None:
    """Look at processor, memory, GPU, torch, weights, folders and port, and say what is amiss or slow, and why.

    Nothing is changed, and nothing leaves the machine. The line of JSON is for reports: it names no folder, user or
    machine.
    """
    try:
        from allaprima.cli.doctor_checks import examine
    except ImportError as error:  # most often torch's own libraries
        raise UserError(
            f"cannot import what painting needs: {error}; expected a whole installation, install the package anew"
        ) from error
    findings = examine(gallery=gallery, lora_dir=lora_dir, port=port)
    for finding in findings:
        print(f"{MARKS[finding.health]} {finding.name:<12} {printable(finding.value)}")
        if finding.advice:
            print(f"{'':<15}{printable(finding.advice)}")
    counts = {health: sum(one.health == health for one in findings) for health in ("wrong", "slow")}
    print(f"\n{counts['wrong']} wrong (!), {counts['slow']} slower than need be (~)")
    if as_json:
        print_json({"ok": not counts["wrong"], "findings": [asdict(finding) for finding in findings]})

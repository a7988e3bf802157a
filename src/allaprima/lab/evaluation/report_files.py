"""What reports share: figures with their units, tables, pages, and the three files of a report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from allaprima.core.files import make_folder, write_whole


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where the three files of a report lie."""

    markdown: Path
    html: Path
    json: Path


def write_files(
    folder: Path, name: str, when: datetime, *, markdown: str, html: str, data: Mapping[str, Any]
) -> Report:
    """Write `<date>-<name>.md`, `.html` and `.json` into `folder`; `data` is what JSON holds besides the date.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    stem = folder / f"{when:%Y-%m-%d-%H%M}-{name}"
    report = Report(markdown=Path(f"{stem}.md"), html=Path(f"{stem}.html"), json=Path(f"{stem}.json"))
    dated = {"date": when.isoformat(timespec="minutes"), **data}
    make_folder(folder)
    texts = (markdown, html, json.dumps(dated, indent=1, ensure_ascii=False) + "\n")
    for path, text in zip(vars(report).values(), texts, strict=True):
        write_whole(path, text.encode(), overwrite=True)
    return report


def format_value(value: float | None, unit: str) -> str:
    """Return one figure with its unit: `93.3 %`, `31.20 dB`, `0.941`, `-1.2 points`, `0`."""
    if value is None:
        return "-"
    if unit == "pictures":
        return f"{value:.0f}"
    if unit == "":
        return f"{value:.3f}"
    return f"{value:.2f} dB" if unit == "dB" else f"{value:.1f} {unit}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], classes: Mapping[str, str] | None = None
) -> str:
    """Return a table in HTML; a cell whose text is in `classes` has that class."""
    attributes = {text: f' class="{name}"' for text, name in (classes or {}).items()}
    body = "".join(
        "<tr>" + "".join(f"<td{attributes.get(cell, '')}>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for cells in rows
    )
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>"


def html_page(title: str, style: str, parts: Iterable[str]) -> str:
    """Return a whole page that needs no other file."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style><body>{''.join(parts)}</body></html>\n"
    )


def encode_jpeg(picture: Tensor, side: int | None = None) -> bytes:
    """Return a picture (3, H, W) in [0, 1] as a JPEG, scaled to a square where a side is given."""
    pixels = picture.nan_to_num(0.0).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    image, file = Image.fromarray(pixels), io.BytesIO()
    if side is not None:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def data_url(jpeg: bytes) -> str:
    """Return the address of a JPEG that lies in the page itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"

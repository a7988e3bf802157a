"""A report card as one HTML page that needs no other file, in light and dark, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path

from allaprima.core.files import make_folder, write_whole
from allaprima.core.report_place import report_path
from allaprima.lab.evaluation.card import CardColumn, ReportCard
from allaprima.lab.evaluation.report_files import data_url, encode_jpeg

SHOWN = 12
SIDE = 256
_STYLE = Path(__file__).with_name("card_page.css")


def write_card(card: ReportCard, folder: Path, when: datetime, house: str, machine: str) -> tuple[Path, Path]:
    """Write NAME.html and NAME.json in place of those that are there, and return where they are.

    Args:
        card: what to write.
        folder: made if it is not there.
        when: of the measurement.
        house: the studio's style sheet, for its colours and type.
        machine: what painted, in words.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    make_folder(folder)
    html, told = (report_path(folder, card.subject.name, suffix) for suffix in (".html", ".json"))
    data = {"date": when.isoformat(timespec="minutes"), "machine": machine, **card.to_json()}
    write_whole(told, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode(), overwrite=True)
    write_whole(html, to_card_page(card, when, house, machine).encode(), overwrite=True)
    return html, told


def to_card_page(card: ReportCard, when: datetime, house: str, machine: str) -> str:
    """Return the page; arguments as of `write_card`."""
    name = escape(card.subject.name)
    parts = [
        f'<header><p class="mark">Alla Prima, report card</p><h1>{name}</h1><p class="sub">{_summary(card)}</p>',
        f'<div class="big">{"".join(_big(card))}</div></header><main>',
        _pictures(card),
        _changes(card),
        _figures(card),
        _file(card),
        f'</main><footer class="note"><p>{_method(card, when, machine)}</p></footer>',
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{name}: report card</title><style>{house}{_STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _values(card: ReportCard) -> Mapping[str, float | None]:
    return {row.name: row.value for row in card.rows}


def _summary(card: ReportCard) -> str:
    """Return what the figures come to, in sentences."""
    values, said = _values(card), []
    column, without = card.painted, card.without
    size = f"{column.request.width} x {column.request.height}"
    how = f"{column.request.steps} steps, guidance {column.request.guidance:g}"
    if without is None:
        said.append(f"The base {card.base} at {size}, in {how}.")
    else:
        plain = f"{without.request.steps} steps, guidance {without.request.guidance:g}"
        said.append(f"A LoRA on {card.base}, at {size}: painted in {how}, beside the base in {plain}.")
    following, before = values.get("prompt following"), values.get("prompt following, without")
    if following is not None and before is not None:
        low, high = values["prompt following, lower end"], values["prompt following, upper end"]
        inside = low is not None and high is not None and low <= before <= high
        verdict = (
            "which these prompts do not tell apart" if inside else "more" if following > before else "less"
        )
        said.append(f"It follows {following:.1f} % of what prompts ask, the base {before:.1f} %, {verdict}.")
    return escape(" ".join(said))


def _big(card: ReportCard) -> Iterable[str]:
    values = _values(card)
    shown = (
        ("prompt following", "{:.0f}", "%", "of what prompts ask is right"),
        ("speed-up", "{:.1f}", "times", "as fast as the base"),
        ("time a picture", "{:.2f}", "s", "a picture"),
        ("distance from the base", "{:.2f}", "", "from the base; 1 is another prompt's picture"),
        ("file size", "{:.1f}", "MB", "on the disk"),
    )
    for name, form, unit, told in shown:
        if (value := values.get(name)) is not None:
            yield f"<div><b>{form.format(value)} <small>{unit}</small></b><span>{told}</span></div>"


def _pictures(card: ReportCard) -> str:
    every = max(1, len(card.prompts) // SHOWN)
    numbers = range(0, len(card.prompts), every)[:SHOWN]
    head = "Pictures" if card.without is None else "Without it, and with it"
    return f"<h2>{head}</h2>{_gallery(card, numbers)}"


def _gallery(card: ReportCard, numbers: Iterable[int]) -> str:
    kind = "pairs ones" if card.without is None else "pairs"
    return f'<div class="{kind}">{"".join(_figure(card, number) for number in numbers)}</div>'


def _figure(card: ReportCard, number: int) -> str:
    columns = {"without": card.without, "with": card.painted}
    there = {name: column for name, column in columns.items() if column is not None}
    prompt = escape(card.prompts[number])
    images = "".join(
        f'<img loading="lazy" alt="{prompt}, {name}" '
        f'src="{data_url(encode_jpeg(column.pictures[number], SIDE))}">'
        for name, column in there.items()
    )
    distance = f"distance {card.distances[number]:.2f}" if card.distances else ""
    kind = "two" if len(there) == 2 else "two one"
    return (
        f'<figure><div class="{kind}">{images}</div><figcaption>{prompt}<small>{distance}</small>'
        f"{_seen(there, number)}</figcaption></figure>"
    )


def _seen(columns: Mapping[str, CardColumn], number: int) -> str:
    """Return what the judge saw in the pictures of one prompt."""
    lines = []
    for name, column in columns.items():
        if column.answers:
            answer = column.answers[number]
            lines.append(
                f"{name if len(columns) > 1 else 'seen'}: {answer.fault or answer.verdict.describe()}"
            )
    return "".join(f"<small>{escape(line)}</small>" for line in lines)


def _changes(card: ReportCard) -> str:
    """Return what the LoRA breaks and what it mends, where a judge can tell."""
    if card.without is None or not card.painted.answers:
        return ""
    parts = []
    for broken, head, none in (
        (True, "What it breaks", "No prompt that the base paints rightly is wrong with it."),
        (False, "What it mends", "No prompt that the base gets wrong is right with it."),
    ):
        numbers = card.changed(broken=broken)
        told = f"{len(numbers)} of {len(card.prompts)} prompts" if numbers else none
        shown = _gallery(card, numbers[:SHOWN]) if numbers else ""
        parts.append(f'<h2>{head}</h2><p class="sub">{told}</p><br>{shown}')
    return "".join(parts)


def _figures(card: ReportCard) -> str:
    """Return a table with a line for each figure, and a column for the base where that was painted too."""
    values = {row.name: row for row in card.rows}
    beside = card.without is not None
    lines = []
    for name, row in values.items():
        if ", " in name:
            continue
        ends = [values.get(f"{name}, {end} end") for end in ("lower", "upper")]
        known = [one.value for one in ends if one is not None and one.value is not None]
        interval = f" ({known[0]:.0f} to {known[1]:.0f})" if len(known) == 2 else ""
        other = values.get(f"{name}, without")
        value = _format(row.value, row.unit)
        cells = f'<td>{escape(name)}</td><td class="n{_short(row.state)}">{value}{interval}</td>'
        if beside:
            cells += f'<td class="n">{"" if other is None else _format(other.value, other.unit)}</td>'
        lines.append(f"<tr>{cells}</tr>")
    heads = '<th>measured</th><th class="n">with it</th><th class="n">without</th>'
    heads = heads if beside else '<th>measured</th><th class="n">value</th>'
    missing = "".join(f'<p class="note">{escape(one)}</p>' for one in (*card.left_out, *card.remarks))
    return (
        f'<h2>Figures</h2><div class="scroll"><table><tr>{heads}</tr>{"".join(lines)}</table></div>{missing}'
    )


def _short(state: str) -> str:
    return " low" if state == "short" else ""


def _format(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = 1 if unit in ("%", "MB", "times") else 0 if value == int(value) else 3
    return f"{value:.{digits}f} {unit}".strip()


def _file(card: ReportCard) -> str:
    known = {name: value for name, value in card.subject.facts.items() if value not in (None, "", [], {}, ())}
    lines = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_words(value))}</dd>"
        for name, value in known.items()
    )
    return f"<h2>{'The file' if card.subject.lora else 'Its files'}</h2><dl>{lines}</dl>" if lines else ""


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({count})" for key, count in value.items())
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 12} more" if len(value) > 12 else ""
        return ", ".join(map(str, value[:12])) + more
    return str(value)


def _method(card: ReportCard, when: datetime, machine: str) -> str:
    judged = (
        "The judge is a network trained on rendered scenes that the base never saw. " if card.heard else ""
    )
    likeness = (
        "Distance compares features of EfficientNet-Lite0, place by place, in units of the distance between "
        "pictures of different prompts. "
        if card.distances
        else ""
    )
    return escape(
        f"{when:%Y-%m-%d %H:%M}, {machine}. {len(card.prompts)} prompts, the same noise for each way of painting, "
        f"one picture at a time; times are medians from request to pixels. "
        f"Rates carry Wilson's 95 % interval. {judged}"
        f"{likeness}{card.seconds / 60:.1f} minutes."
    )

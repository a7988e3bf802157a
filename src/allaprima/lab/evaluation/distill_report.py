"""The distillation table as Markdown, as HTML with pictures, and as rows with what must be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from allaprima.lab.evaluation.distill import COLUMNS, Comparison, Line
from allaprima.lab.evaluation.report_files import (
    Report,
    data_url,
    encode_jpeg,
    format_value,
    html_page,
    html_table,
    markdown_table,
    write_files,
)
from allaprima.lab.evaluation.rows import ReportRow

_DIGITS = {"frechet": 1, "saturation": 3, "high_frequencies": 2, "ssim": 3, "megabytes": 2, "seconds": 3}
_EQUAL = 0.5
"""Two judge scores within so many points count as equal."""
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}img{width:128px;height:128px;display:block}.pictures td{padding:2px}
"""


def aim_rows(comparison: Comparison, turbo: str, one: str) -> list[ReportRow]:
    """Return the rows with figures to reach; the student `turbo` paints in 4 steps, `one` in 1 step."""
    settings = comparison.settings
    teacher = comparison.find("base", settings.teacher_steps)
    four, single = comparison.find(turbo, 4), comparison.find(one, 1)
    uniform, ranked = comparison.find("uniform", 4), comparison.find("sensitivity", 4)
    faults = float(sum(line.faults for line in comparison.lines if line.method != "base"))

    def row(name: str, unit: Any, value: float | None, must: float | None, aim: float | None) -> ReportRow:
        return ReportRow(name=name, unit=unit, must=must, aim=aim, value=value, total=settings.prompts)

    return [
        row(f"{turbo}, 4 steps, judge behind the base", "points", _behind(teacher, four), 1.5, 0.0),
        row(f"{one}, 1 step, judge behind the base", "points", _behind(teacher, single), 6, 2),
        row(f"{turbo}, 4 steps, diversity kept", "%", _value(four, "diversity"), 85, 95),
        row(f"{turbo}, 4 steps, times as fast", "", _value(four, "speed_up"), 12, 20),
        row(f"{one}, 1 step, times as fast", "", _value(single, "speed_up"), None, 60),
        row("size saved against rank 16 everywhere", "%", _saved(comparison, turbo), 50, 75),
        row(
            "sensitivity ranks behind uniform ones",
            "points",
            _behind(uniform, ranked),
            0,
            0.0 - _spread(uniform, ranked),
        ),
        row("black, NaN or constant pictures", "pictures", faults, 0, 0),
    ]


def _value(line: Line | None, column: str) -> float | None:
    return None if line is None else line.values.get(column)


def _behind(better: Line | None, worse: Line | None) -> float | None:
    first, second = _value(better, "judge"), _value(worse, "judge")
    return None if first is None or second is None else first - second


def _saved(comparison: Comparison, turbo: str) -> float | None:
    """Return the megabytes saved in percent, where both are judged equal; "rank16" is rank 16 everywhere."""
    ours, whole = comparison.find(turbo, 4), comparison.find("rank16", 4)
    behind = _behind(whole, ours)
    sizes = _value(ours, "megabytes"), _value(whole, "megabytes")
    if behind is None or behind > _EQUAL or sizes[0] is None or not sizes[1]:
        return None
    return 100 * (1 - sizes[0] / sizes[1])


def _spread(*lines: Line | None) -> float:
    return max((line.spread.get("judge", 0.0) for line in lines if line), default=0.0)


def _cell(line: Line, column: str) -> str:
    value = line.values.get(column)
    if value is None:
        return "-"
    digits = _DIGITS.get(column, 1)
    spread = line.spread.get(column)
    return f"{value:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def _table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of the columns in which anything was measured."""
    lines = comparison.lines
    columns = [name for name in COLUMNS if any(line.values.get(name) is not None for line in lines)]
    head = ["", *(COLUMNS[name] for name in columns)]
    return head, [[line.name, *(_cell(line, name) for name in columns)] for line in lines]


def _aims(rows: Sequence[ReportRow]) -> tuple[list[str], list[list[str]]]:
    head = ["to reach", "value", "must", "aim", "state"]
    cells = [
        [row.name, *(format_value(value, row.unit) for value in (row.value, row.must, row.aim)), row.state]
        for row in rows
    ]
    return head, cells


def _method(comparison: Comparison, when: datetime) -> str:
    settings = comparison.settings
    return (
        f"{when:%Y-%m-%d %H:%M}. {settings.prompts} prompts from the same noise for all; diversity over "
        f"{settings.diverse_prompts} prompts with {settings.diverse_seeds} noises each; {settings.reals} renders; "
        f"seconds and speed-up are medians of {settings.timed} rounds, in each of which all paint a picture alone, "
        f"± standard deviation over rounds. Of a name that was trained several times, everything else is mean ± "
        f"standard deviation over trainings, and the first is timed. {comparison.seconds / 60:.0f} minutes. "
        + " ".join(comparison.left_out)
    ).strip()


def to_markdown(comparison: Comparison, rows: Sequence[ReportRow], when: datetime) -> str:
    """Return the report without pictures."""
    parts = ["# Distillation: base and students", _method(comparison, when)]
    parts += [markdown_table(*table) for table in (_table(comparison), _aims(rows))]
    return "\n\n".join(parts) + "\n"


def to_html(comparison: Comparison, rows: Sequence[ReportRow], when: datetime) -> str:
    """Return the report with pictures, in one file that needs no other."""
    parts = ["<h1>Distillation: base and students</h1>", f"<p>{escape(_method(comparison, when))}</p>"]
    parts += [html_table(*table) for table in (_table(comparison), _aims(rows))]
    names = "".join(f"<th>{escape(prompt)}</th>" for prompt in comparison.prompts)
    body = ""
    for line in comparison.lines:
        images = (f'<td><img alt="" src="{data_url(encode_jpeg(picture))}"></td>' for picture in line.shown)
        body += f"<tr><td>{escape(line.name)}</td>{''.join(images)}</tr>"
    parts.append(f'<h2>The same noise</h2><table class="pictures"><tr><th></th>{names}</tr>{body}</table>')
    return html_page("Distillation", _STYLE, parts)


def to_json(comparison: Comparison, rows: Sequence[ReportRow]) -> dict[str, Any]:
    """Plain values; the pictures are left out."""
    lines = [
        {"name": line.name, "method": line.method, "steps": line.steps, "trainings": line.trainings,
         "values": line.values, "spread": line.spread, "faults": line.faults}
        for line in comparison.lines
    ]  # fmt: skip
    better = {"points": "lower", "pictures": "lower"}
    return {
        "settings": asdict(comparison.settings),
        "rows": [{**row.to_json(), "better": better.get(row.unit, "higher")} for row in rows],
        "table": lines,
        "left_out": list(comparison.left_out),
        "seconds": round(comparison.seconds, 1),
    }


def write_distill_report(
    comparison: Comparison, rows: Sequence[ReportRow], folder: Path, when: datetime
) -> Report:
    """Write `<date>-distill.md`, `.html` and `.json` into `folder`.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    markdown, html = to_markdown(comparison, rows, when), to_html(comparison, rows, when)
    return write_files(folder, "distill", when, markdown=markdown, html=html, data=to_json(comparison, rows))

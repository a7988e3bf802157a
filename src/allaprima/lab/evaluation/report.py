"""Reports of an evaluation: Markdown for reading, HTML with the pictures, JSON for comparing."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path

from allaprima.lab.evaluation.accuracy import ATTRIBUTES, REPORTED_FROM
from allaprima.lab.evaluation.report_files import (
    Report,
    data_url,
    format_value,
    html_page,
    html_table,
    markdown_table,
    write_files,
)
from allaprima.lab.evaluation.rows import ReportRow
from allaprima.lab.evaluation.suites import SUITES
from allaprima.lab.evaluation.vignette import Evaluation, ReportPicture

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:left}
.grid{display:flex;flex-wrap:wrap;gap:.8rem}figure{margin:0;width:160px;font-size:12px;line-height:1.3}
figure img{width:160px;height:160px;display:block;border-bottom:4px solid #c33}figure.right img{border-color:#2a7}
figcaption span{color:#777;display:block}.short{color:#c33;font-weight:600}.aim{color:#2a7;font-weight:600}
"""
_CLASSES = {"short": "short", "aim reached": "aim"}


def write_report(evaluation: Evaluation, folder: Path, when: datetime) -> Report:
    """Write `<date>-vignette.md`, `.html` and `.json` into `folder`.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    markdown, html = to_markdown(evaluation, when), to_html(evaluation, when)
    return write_files(folder, "vignette", when, markdown=markdown, html=html, data=evaluation.to_json())


def _cells(row: ReportRow) -> list[str]:
    value, low, high, must, aim = (
        format_value(figure, row.unit) for figure in (row.value, row.low, row.high, row.must, row.aim)
    )
    interval = "-" if row.low is None else f"{low} to {high}"
    return [row.name, value, interval, str(row.total), must, aim, row.state]


_HEAD = ["measured", "value", "95 % interval", "on", "must reach", "aim", "state"]


def _judge_cells(evaluation: Evaluation) -> list[list[str]]:
    lines = []
    for name in ATTRIBUTES:
        rendered, through = evaluation.accuracy.get(name), evaluation.through_autoencoder.get(name)
        heard = "yes" if (rendered or 0.0) >= REPORTED_FROM else "no"
        shown = [format_value(None if rate is None else 100 * rate, "%") for rate in (rendered, through)]
        lines.append([name, *shown, heard])
    return lines


_JUDGE_HEAD = ["attribute", "right on rendered scenes", "right on reconstructions", "reported"]


def _method(evaluation: Evaluation, when: datetime) -> str:
    settings, paint = evaluation.settings, evaluation.settings.paint
    return (
        f"{when:%Y-%m-%d %H:%M}. {settings.prompts:,} prompts (seed {settings.seed}), {paint.steps} steps, "
        f"guidance {paint.guidance:g}; {evaluation.seconds / 60:.0f} minutes. Rates carry their Wilson 95 % "
        "interval, gaps Newcombe's. A prompt is judged only on what it says. The judge is a network trained on "
        "rendered scenes that the base never saw; an attribute on which it is right less than "
        f"{REPORTED_FROM:.0%} of the time on rendered scenes is not reported."
    )


def to_markdown(evaluation: Evaluation, when: datetime) -> str:
    """Return the report without pictures."""
    parts = ["# Evaluation of Vignette", _method(evaluation, when)]
    parts += [markdown_table(_HEAD, map(_cells, evaluation.rows))]
    parts += ["## The judge", markdown_table(_JUDGE_HEAD, _judge_cells(evaluation))]
    parts += ["## The first prompts of every suite"]
    for suite, group in _by_suite(evaluation):
        lines = [
            f"- {'right' if shown.right else '**wrong**'} `{shown.answer.ask.prompt}`: {_seen(shown)}"
            for shown in group
        ]
        parts += [f"### {suite.capitalize()}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def to_html(evaluation: Evaluation, when: datetime) -> str:
    """Return the report with pictures, in one file that needs no other."""
    parts = ["<h1>Evaluation of Vignette</h1>", f"<p>{escape(_method(evaluation, when))}</p>"]
    parts += [html_table(_HEAD, map(_cells, evaluation.rows), _CLASSES)]
    parts += ["<h2>The judge</h2>", html_table(_JUDGE_HEAD, _judge_cells(evaluation), _CLASSES)]
    for suite, group in _by_suite(evaluation):
        figures = "".join(_figure(shown) for shown in group)
        parts += [f"<h2>{escape(suite.capitalize())}</h2>", f'<div class="grid">{figures}</div>']
    return html_page("Evaluation of Vignette", _STYLE, parts)


def _figure(shown: ReportPicture) -> str:
    prompt = escape(shown.answer.ask.prompt)
    return (
        f'<figure class="{"right" if shown.right else "wrong"}"><img alt="{prompt}" src="{data_url(shown.jpeg)}">'
        f"<figcaption>{prompt}<span>{escape(_seen(shown))}</span></figcaption></figure>"
    )


def _by_suite(evaluation: Evaluation) -> list[tuple[str, list[ReportPicture]]]:
    groups = [
        (suite, [shown for shown in evaluation.shown if shown.answer.ask.suite == suite]) for suite in SUITES
    ]
    return [(suite, group) for suite, group in groups if group]


def _seen(shown: ReportPicture) -> str:
    return shown.answer.fault or shown.answer.verdict.describe()

"""The one progress bar of long work: on stderr, with the time left, and only where a person looks on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


def progress_bar(unit: str = "") -> Progress:
    """Return a bar for a with-block, in a terminal or a notebook; elsewhere it shows nothing.

    Args:
        unit: what is counted, to show how many a second; "" shows no rate.
    """
    # Here, not above: what shows no bar is not to wait for rich.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None or not unit else f"{speed:.1f} {unit}/s")

    console = Console(stderr=True)
    watched = console.is_terminal or console.is_jupyter
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not watched)


def track(items: Iterable[T], *, total: int, label: str, unit: str = "") -> Iterator[T]:
    """Yield `items` while a bar counts them up to `total`."""
    with progress_bar(unit) as bar:
        task = bar.add_task(label, total=total)
        for item in items:
            yield item
            bar.advance(task)

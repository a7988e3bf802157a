"""The one progress bar of long work: on stderr, with the time left, and only where a person looks on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

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
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class RateColumn(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None or not unit else f"{speed:.1f} {unit}/s")

    console = Console(stderr=True)
    watched = console.is_terminal or console.is_jupyter
    text, counted = progress.TextColumn("{task.description}"), progress.MofNCompleteColumn()
    columns = (text, progress.BarColumn(), counted, RateColumn(), progress.TimeRemainingColumn())
    return progress.Progress(*columns, console=console, transient=True, disable=not watched)


@contextmanager
def work_progress() -> Iterator[OnProgress]:
    """Yield what shows one piece of work after another, each with a bar of its own."""
    with progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show


def track(items: Iterable[T], *, total: int, label: str, unit: str = "") -> Iterator[T]:
    """Yield `items` while a bar counts them up to `total`."""
    with progress_bar(unit) as bar:
        task = bar.add_task(label, total=total)
        for item in items:
            yield item
            bar.advance(task)

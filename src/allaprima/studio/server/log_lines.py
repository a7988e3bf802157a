"""The log on the server's terminal: whole lines in printable signs, and few of one kind, whatever strangers send."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from allaprima.core.lru import LruCache

LINE = "%(asctime)s %(levelname)s %(message)s"
BURST = 20
"""Lines of one kind that are written at once; then one a second."""
_MAX_KINDS = 1000
_TEMPLATE_CHARS = 60


def write_log(stream: IO[str], level: int = logging.INFO) -> None:
    """Have all loggers of the process write to `stream`, as this module says."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter(LINE))
    handler.addFilter(RepetitionFilter())
    logging.basicConfig(level=level, handlers=[handler])


class PrintableFormatter(logging.Formatter):
    """A formatter whose records take one line each; what was raised follows, indented.

    Control characters are spelled out, so that no message can forge a line or colour a terminal.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class's name)
        """Return the line of `record`."""
        record.message = printable(record.message).replace("\n", r"\n").replace("\t", r"\t")
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Return the traceback, which no line of can be taken for a record."""
        text = printable(super().formatException(ei))  # type: ignore[arg-type]
        return "\n".join(f"  {line}" for line in text.splitlines())


def printable(text: str) -> str:
    """Return `text` with every sign spelled out that a terminal would obey, but for tabs and line feeds."""
    return "".join(char if char.isprintable() or char in "\t\n" else repr(char)[1:-1] for char in text)


@dataclass
class RepetitionFilter(logging.Filter):
    """A filter that lets few records of one kind pass: those over one a second are counted, and the next says so.

    A record's kind is its `kind`, if it was given one, else where it comes from and how its message begins.
    """

    clock: Callable[[], float] = time.monotonic
    """Seconds, never going back."""
    _kinds: LruCache[tuple[object, ...], tuple[float, float, int]] = field(
        default_factory=lambda: LruCache(max_count=_MAX_KINDS), repr=False
    )
    """The level of each kind's bucket, when it was so, and how many records were left out since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether `record` is to be written."""
        given = getattr(record, "kind", None)
        kind = (record.name, record.levelno, given or str(record.msg)[:_TEMPLATE_CHARS])
        now = self.clock()
        level, at, left_out = self._kinds.find(kind) or (float(BURST), now, 0)
        level = min(float(BURST), level + now - at)
        if level < 1.0:
            self._kinds.put(kind, (level, now, left_out + 1))
            return False
        self._kinds.put(kind, (level - 1, now, 0))
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", ()
        return True

"""Where a command ends: whatever stops it becomes a sentence, an exit code and, if asked for, a line of JSON.

0 is success, 1 a failure of ours, 2 something the user can put right, 130 an interruption (Ctrl+C). A process that is
told to end (SIGTERM, SIGHUP) tidies up, says what is finished, and then ends by that signal, as its sender expects.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from allaprima.cli.output import JsonLine, printable
from allaprima.core.errors import AllaPrimaError, UserError

TRACEBACK = "ALLAPRIMA_TRACEBACK"
"""The variable that, set to anything, shows where an unexpected error came from."""
_ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class EndedError(KeyboardInterrupt):
    """The process was told to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def prepare_process() -> None:
    """Make signals errors, warnings sentences, and every terminal able to show every name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"prima: {printable(str(message))}\n"
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() == own:
            raise EndedError(number)
        _end_by(number)  # a process that was forked from this one

    for ending in _ENDINGS:
        if signal.getsignal(ending) is not signal.SIG_IGN:  # under nohup it stays ignored
            signal.signal(ending, end)


def end_process(status: int, ended_by: int | None) -> None:
    """Leave the process with `status`, or by the signal that ended it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:  # a full disk, or a reader that has left
            status = status or 1
            with suppress(OSError):
                print(f"prima: cannot write the output: {error.strerror}", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if ended_by is not None:
        _end_by(ended_by)
    sys.exit(status)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@contextmanager
def as_our_errors() -> Iterator[None]:
    """Turn the parser's complaints into errors of ours, and let an interruption pass by typer, which hides it."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError(error) from error
    except Exception as error:
        # By their names: typer carries the parser that they belong to inside it, and has moved it once.
        if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
            raise
        context = getattr(error, "ctx", None)
        command = "prima" if context is None else context.command_path
        dash = (
            " (words that begin with a dash come last, behind --)"
            if type(error).__name__ == "NoSuchOption"
            else ""
        )
        raise UsageError(f"{_complaint(error)}{dash}; `{command} --help` shows what there is") from error


def _complaint(error: Any) -> str:
    """Return a parser's complaint in a line: of a value that is no number, say, what was got and expected."""
    details = getattr(error.__cause__, "errors", None)
    named = getattr(error, "param", None)
    if details is None or named is None:
        return " ".join(error.format_message().split()).rstrip(".")
    detail = details()[0]
    name = (getattr(named, "opts", None) or [str(named.name)])[0]
    inner = detail.get("ctx", {}).get("error")
    if inner is not None:
        return f"{name}: {' '.join(str(inner).split()).rstrip('.')}"
    expected = detail["msg"].partition(", ")[0].removeprefix("Input should be ")
    return f"got {name} {str(detail['input'])[:40]!r}; expected {expected}"


class UsageError(UserError):
    """A command line that cannot be understood: an unknown option or command, or a value of another type."""


class StoppedError(AllaPrimaError):
    """A command was interrupted."""

    def __init__(self, cause: KeyboardInterrupt) -> None:
        super().__init__(str(cause) or "interrupted")
        self.ended_by = cause.number if isinstance(cause, EndedError) else None
        """The signal that ended the process; None for Ctrl+C."""

    @property
    def status(self) -> int:
        """The exit code, as shells count it."""
        return 128 + (self.ended_by or signal.SIGINT)


def tell(error: BaseException, line: JsonLine, *, as_json: bool) -> int:
    """Say in a sentence on stderr, and on stdout if JSON was asked for, what went wrong; return the exit code."""
    status, message = _status_of(error), _message_of(error)
    with suppress(OSError):  # stderr may be gone too
        print(f"prima: {printable(message)}", file=sys.stderr)
        if TRACEBACK in os.environ and not isinstance(error, AllaPrimaError):
            traceback.print_exception(error)
    if as_json and not line.printed:
        with suppress(OSError):
            line.print({**line.finished, "error": message, "kind": type(error).__name__})
    return status


def _status_of(error: BaseException) -> int:
    if isinstance(error, StoppedError):
        return error.status
    return 2 if isinstance(error, UserError | OSError) else 1


def _message_of(error: BaseException) -> str:
    if isinstance(error, AllaPrimaError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f" ({str(error.filename)[:200]})"
        return f"cannot go on: {error.strerror}{where}; expected files and folders that are open to you, with room"
    if isinstance(error, MemoryError):
        return "out of memory; expected more of it, or something smaller"
    said = " ".join(str(error).split())[:200]
    return (
        f"something went wrong in prima itself ({type(error).__name__}: {said}); please report it with what "
        f"{TRACEBACK}=1 shows"
    )

"""The engine's edge, where any error becomes a value: the device is shared, and nobody pays for another's error."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from allaprima.core.errors import AllaPrimaError, LoraError, UserError

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """What went wrong."""

    error: Exception

    @property
    def at_fault(self) -> bool:
        """Whether what was asked for is the reason."""
        return isinstance(self.error, UserError)

    @property
    def blamed(self) -> str | None:
        """The field of the request that is the reason, where it is one."""
        if isinstance(self.error, LoraError):
            return "loras"
        return self.error.field if isinstance(self.error, UserError) else None

    def explain(self) -> tuple[str, str]:
        """Log the error; return a sentence for whoever asked and the id that it has in the log.

        Errors that are ours say what is wrong; of any other the person learns only where it is written down.
        """
        number = secrets.token_hex(4)
        if isinstance(self.error, AllaPrimaError):
            _LOG.warning("%s: %s", number, self.error)
            return str(self.error), number
        _LOG.error("%s: painting failed", number, exc_info=self.error)
        return f"painting failed for a reason of the studio's own; its log has it under {number}", number


def attempt(action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """Return what `action` returns, or the error it raises."""
    try:
        return action(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  see the module docstring
        return Failure(error)


def attempted(action: Callable[P, T]) -> Callable[P, T | Failure]:
    """Make a function return the error that it raises."""

    @wraps(action)
    def run(*args: P.args, **kwargs: P.kwargs) -> T | Failure:
        return attempt(action, *args, **kwargs)

    return run

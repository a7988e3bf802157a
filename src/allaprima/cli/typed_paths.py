"""Paths as people type them: a shell expands `~` and `$HOME` in some places and leaves them in others.

`--models-dir=~/models`, a quoted "$HOME/models" and what a service's file says reach a program as they stand.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from allaprima.core.errors import UserError
from allaprima.core.user_paths import expand

_MAY_BE_STREAMS = frozenset({"output"})
"""Parameters that pictures can flow to; all others are files and folders."""


def with_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return `command` as it is called with paths that are expanded, and that are files or folders if they exist."""

    @wraps(command)
    def call(*arguments: Any, **values: Any) -> Any:
        return command(*arguments, **{name: _understood(name, value) for name, value in values.items()})

    return call


def _understood(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_understood(name, one) for one in value)
    if not isinstance(value, Path):
        return value
    path = expand(value)
    if name not in _MAY_BE_STREAMS and (kind := _special(path)) is not None:
        option = name.replace("_", "-")
        raise UserError(f"got {path} for {option}, which is {kind}; expected a file or a folder")
    return path


def _special(path: Path) -> str | None:
    """Return what `path` is if reading it might wait for ever or never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode))

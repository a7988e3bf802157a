"""Names at the addresses that they had in an earlier release, so that scripts that import them there go on working.

    __getattr__ = find_moved(__name__, {"LoraReader": "allaprima.paint.lora.files.reader"})

at the end of a module makes it an alias that warns. The only addresses that are meant to last are the names of
`allaprima` itself; these go with release 0.3.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module


def find_moved(module: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of `module` for names that live elsewhere now, by the modules where they do."""

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}; it has {', '.join(homes)}")
        warn_of_move(f"{module}.{name}", f"{homes[name]}.{name}")
        return getattr(import_module(homes[name]), name)

    return find


def warn_of_move(old: str, new: str) -> None:
    """Warn whoever uses the address `old`, two calls up, that it goes."""
    warnings.warn(f"{old} is {new} now; the old name goes with 0.3", DeprecationWarning, stacklevel=3)

"""Alla Prima paints little pictures from words, in one sitting, on the machine at hand.

    >>> from allaprima import GenerationRequest, Painter
    >>> painter = Painter.load()
    >>> picture = painter.paint(GenerationRequest(prompt="a cat on a rooftop at sunset", seed=7))

The names are imported when they are first used, so that `import allaprima` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees; __getattr__ below would hide a misspelt name from it
    from allaprima.core.request import GenerationRequest
    from allaprima.paint.painter import Painter

__version__ = "0.1.0"
__all__ = ["GenerationRequest", "Painter", "__version__"]

_HOMES = {
    "GenerationRequest": "allaprima.core.request",
    "Painter": "allaprima.paint.painter",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name from its home module on first use."""
        if name not in _HOMES:
            raise AttributeError(f"module 'allaprima' has no attribute {name!r}; it has {', '.join(_HOMES)}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""Alla Prima paints little pictures from words, in one sitting, on the machine at hand.

    from allaprima import Painter

    painter = Painter.load()
    picture = painter("a cat on a rooftop at sunset", seed=7)
    picture.save("cat.png")

The names are imported when they are first used, so that `import allaprima` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees; __getattr__ below would hide a misspelt name from it
    from allaprima.core.errors import (
        AllaPrimaError,
        LoraError,
        OutOfMemoryError,
        OutputError,
        PaintError,
        PictureError,
        RequestError,
        UserError,
        WeightsError,
    )
    from allaprima.core.init_image import InitImage
    from allaprima.core.layout import Box, Thing
    from allaprima.core.picture import Picture, PictureSet
    from allaprima.core.request import GenerationRequest, LoraUse
    from allaprima.core.retouch import CutOut, Deblock, NewBackground, Restyle, Upscale
    from allaprima.core.retouched import RetouchedPicture
    from allaprima.paint.painter import Painter
    from allaprima.paint.retouch.retoucher import Retoucher

__version__ = "0.1.0"
__all__ = [
    "AllaPrimaError",
    "Box",
    "CutOut",
    "Deblock",
    "GenerationRequest",
    "InitImage",
    "LoraError",
    "LoraUse",
    "NewBackground",
    "OutOfMemoryError",
    "OutputError",
    "PaintError",
    "Painter",
    "Picture",
    "PictureError",
    "PictureSet",
    "RequestError",
    "Restyle",
    "RetouchedPicture",
    "Retoucher",
    "Thing",
    "Upscale",
    "UserError",
    "WeightsError",
    "__version__",
]

_HOMES = {
    "Box": "allaprima.core.layout",
    "CutOut": "allaprima.core.retouch",
    "Deblock": "allaprima.core.retouch",
    "GenerationRequest": "allaprima.core.request",
    "InitImage": "allaprima.core.init_image",
    "LoraUse": "allaprima.core.request",
    "NewBackground": "allaprima.core.retouch",
    "Painter": "allaprima.paint.painter",
    "Picture": "allaprima.core.picture",
    "PictureSet": "allaprima.core.picture",
    "Restyle": "allaprima.core.retouch",
    "RetouchedPicture": "allaprima.core.retouched",
    "Retoucher": "allaprima.paint.retouch.retoucher",
    "Thing": "allaprima.core.layout",
    "Upscale": "allaprima.core.retouch",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name from its home module on first use."""
        if name not in __all__:
            raise AttributeError(f"module 'allaprima' has no attribute {name!r}; it has {', '.join(__all__)}")
        return getattr(import_module(_HOMES.get(name, "allaprima.core.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)

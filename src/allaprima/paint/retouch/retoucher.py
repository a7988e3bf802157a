"""Several operations on a picture, in order: the Python door of retouching.

retoucher = Retoucher()
retoucher("cat.png", Upscale(scale=2)).save("large.png")
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from allaprima.core.picture import Picture
from allaprima.core.retouch import Operation, Upscale
from allaprima.core.retouch_source import open_picture
from allaprima.core.retouched import RetouchedPicture
from allaprima.paint.retouch.upscale import upscale
from allaprima.paint.retouch.work import Work, Workshop, finish, part

WORKS: dict[type[Operation], Callable[[Image.Image, Any, Workshop], Work]] = {Upscale: upscale}
"""Which work belongs to which operation."""


class Retoucher:
    """Retouches pictures, and keeps what it loaded for that.

    Args:
        workshop: where the work is done; by default on the first GPU, or on the processor.
    """

    def __init__(self, workshop: Workshop | None = None) -> None:
        self.workshop = workshop or Workshop()

    def __call__(
        self,
        picture: Path | str | Image.Image | Picture | RetouchedPicture,
        *operations: Operation,
        on_share: Callable[[float], None] = lambda _share: None,
    ) -> RetouchedPicture:
        """Return the picture after the operations, in the order in which they are given.

        Args:
            picture: a file, a PIL image, or what was painted or retouched before; it is not changed.
            operations: what to do; none leaves the picture as it is.
            on_share: hears the share that is done, 0 to 1, now and then.

        Raises:
            PictureError: the picture cannot be read, or is too large.
            WeightsError: a weight file is missing, or cannot be used.
        """
        return finish(self.work(open_picture(picture), operations), on_share)

    def work(
        self, picture: RetouchedPicture, operations: Sequence[Operation]
    ) -> Generator[float, None, RetouchedPicture]:
        """Yield the share that is done after each short piece, and return the retouched picture; see `Work`."""
        image = picture.image
        for number, operation in enumerate(operations):
            work = WORKS[type(operation)](image, operation, self.workshop)
            image = yield from part(work, number / len(operations), (number + 1) / len(operations))
        return RetouchedPicture(
            image=image,
            operations=(*picture.operations, *map(_without_path, operations)),
            request=picture.request,
            infotext=picture.infotext,
        )


def _without_path(operation: Operation) -> Operation:
    """Return the operation as a picture may tell it to strangers: a file of the user's by its name alone."""
    return replace(operation, upscaler=Path(operation.upscaler).stem)

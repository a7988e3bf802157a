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
from allaprima.core.retouch import CutOut, Deblock, NewBackground, Operation, Repaint, Restyle, Upscale
from allaprima.core.retouch_source import open_to_retouch
from allaprima.core.retouched import RetouchedPicture
from allaprima.paint.retouch.background import prepare_background, put_before_background
from allaprima.paint.retouch.cutout import cut_out
from allaprima.paint.retouch.deblocking import deblock, get_deblock_network
from allaprima.paint.retouch.finders import get_finder
from allaprima.paint.retouch.repaint import repaint, require_painter
from allaprima.paint.retouch.restyle import prepare_restyling, restyle
from allaprima.paint.retouch.upscale import get_upscaler, upscale
from allaprima.paint.retouch.work import Work, Workshop, finish, part

WORKS: dict[type[Operation], Callable[[Image.Image, Any, Workshop], Work]] = {
    CutOut: cut_out,
    Deblock: deblock,
    NewBackground: put_before_background,
    Repaint: repaint,
    Restyle: restyle,
    Upscale: upscale,
}
"""Which work belongs to which operation."""
PREPARATIONS: dict[type[Operation], Callable[[Any, Workshop], object]] = {
    CutOut: get_finder,
    Deblock: get_deblock_network,
    NewBackground: prepare_background,
    Repaint: require_painter,
    Restyle: prepare_restyling,
    Upscale: lambda operation, workshop: get_upscaler(operation.upscaler, workshop),
}
"""What loads all that an operation needs."""


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
        return finish(self.work(open_to_retouch(picture), operations), on_share)

    def prepare(self, operations: Sequence[Operation]) -> None:
        """Load all that the operations need; WeightsError or RequestError for what is not there."""
        for operation in operations:
            PREPARATIONS[type(operation)](operation, self.workshop)

    def work(
        self, picture: RetouchedPicture, operations: Sequence[Operation]
    ) -> Generator[float, None, RetouchedPicture]:
        """Yield the share that is done after each short piece, and return the retouched picture; see `Work`."""
        image, workshop = picture.image, replace(self.workshop, request=picture.request)
        for number, operation in enumerate(operations):
            work = WORKS[type(operation)](image, operation, workshop)
            image = yield from part(work, number / len(operations), (number + 1) / len(operations))
        return RetouchedPicture(
            image=image,
            operations=(*picture.operations, *(operation.without_paths() for operation in operations)),
            request=picture.request,
            infotext=picture.infotext,
        )

"""A picture that was retouched, what was done to it, and what it was painted from, if it was painted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Operation

if TYPE_CHECKING:
    from PIL import Image

    from allaprima.core.picture_encoding import FileFormat


@dataclass(frozen=True, kw_only=True)
class RetouchedPicture:
    """Pixels and their history. A notebook shows it."""

    image: Image.Image = field(repr=False)
    """RGB, or RGBA where something is transparent."""
    operations: tuple[Operation, ...] = ()
    """All that was ever done to it, in order."""
    request: GenerationRequest | None = None
    """What it was painted from; None for a picture that carried no request."""
    infotext: str | None = field(default=None, repr=False)
    """What another program wrote into it, which is handed on."""

    def encode(self, file_format: FileFormat = "png") -> bytes:
        """Return the bytes of a file that carries the history.

        Raises:
            OutputError: something is transparent, and the format knows no transparency.
        """
        from allaprima.core.picture_encoding import encode_retouched

        return encode_retouched(
            self.image, file_format, operations=self.operations, request=self.request, infotext=self.infotext
        )

    def save(self, path: Path | str) -> Path:
        """Write the picture, in place of a file that is there, and return where it is.

        Args:
            path: ends in .png, .jpg, .jpeg or .webp.

        Raises:
            OutputError: the name ends otherwise, or the place cannot be written; nothing half-written is left.
        """
        from allaprima.core.picture_encoding import save_encoded

        return save_encoded(Path(path), self.encode)

    def _repr_png_(self) -> bytes:
        return self.encode("png")

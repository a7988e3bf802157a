"""Pictures that a base looks at while it paints: each by a digest, and its pixels where they are at hand.

    reference = Reference.open("face.png")
    request = GenerationRequest(prompt="the woman reads a book", references=(reference,))

A request that was written into a file names its references by their digests alone, so that no picture and no path
goes along; to paint it again they have to be given again.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

MAX_REFERENCES = 10
MAX_AREA = 1024 * 1024
"""Pixels of a reference; a larger picture is scaled to so many, as Flux2KleinPipeline of diffusers does."""
MIN_SIDE = 64
"""Pixels."""
MAX_ASPECT = 8
"""The longer side over the shorter."""
_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class ReferencePixels:
    """A picture as plain bytes."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes a pixel."""

    @property
    def digest(self) -> str:
        """The first 128 bits of the SHA-256 of size and pixels, in hexadecimal."""
        size = f"{self.width}x{self.height}:".encode()
        return hashlib.sha256(size + self.rgb).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A picture to look at; equal to another of the same digest."""

    digest: str
    """32 hexadecimal digits; see `ReferencePixels`."""
    pixels: ReferencePixels | None = field(default=None, repr=False, compare=False)
    """None where only the digest is known, as in a request that was read from a file."""

    def __post_init__(self) -> None:
        """Refuse what is no digest."""
        digest: object = self.digest
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise RequestError(
                f"got reference {str(digest)[:40]!r}; expected the 32 hexadecimal digits of a picture, or the "
                "picture itself, as --reference FILE",
                field="references",
            )

    @classmethod
    def from_image(cls, image: Image.Image) -> Reference:
        """Return a PIL image of any mode, upright, scaled down where it is large.

        Raises:
            RequestError: it is too small, or too long and narrow.
        """
        from PIL import Image

        from allaprima.core.image_modes import to_rgb
        from allaprima.core.picture_opening import upright

        picture = to_rgb(upright(image))
        width, height = picture.size
        if min(width, height) < MIN_SIDE or max(width, height) > MAX_ASPECT * min(width, height):
            raise RequestError(
                f"got a reference of {width}x{height} pixels; expected sides of at least {MIN_SIDE}, the longer at "
                f"most {MAX_ASPECT} times the shorter",
                field="references",
            )
        if width * height > MAX_AREA:
            scale = math.sqrt(MAX_AREA / (width * height))
            picture = picture.resize((int(width * scale), int(height * scale)), Image.Resampling.LANCZOS)
        pixels = ReferencePixels(width=picture.width, height=picture.height, rgb=picture.tobytes())
        return cls(digest=pixels.digest, pixels=pixels)

    @classmethod
    def open(cls, path: Path | str) -> Reference:
        """Return the picture file at `path`, as `from_image`.

        Raises:
            PictureError: it cannot be read as a picture.
            RequestError: it is too small, or too long and narrow.
        """
        from allaprima.core.picture_opening import open_picture

        return cls.from_image(open_picture(Path(path)))


def references_from_json(data: object) -> tuple[Reference, ...]:
    """Return the references that a list of digests names."""
    if not isinstance(data, list | tuple):
        raise RequestError(f"got references {str(data)[:40]!r}; expected a list", field="references")
    return tuple(Reference(digest=digest) for digest in data[: MAX_REFERENCES + 1])


def check_references(references: object) -> None:
    """Refuse what are no references, or too many."""
    if not isinstance(references, tuple) or not all(isinstance(one, Reference) for one in references):
        raise RequestError(
            f"got references {str(references)[:40]}; expected a tuple of Reference", field="references"
        )
    if len(references) > MAX_REFERENCES:
        raise RequestError(
            f"got more than {MAX_REFERENCES} references; expected at most {MAX_REFERENCES}",
            field="references",
        )

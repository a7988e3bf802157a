"""Painted pictures as plain bytes, and the requests they were painted from.

picture.save("cat.png")             # the request inside, written whole or not at all
picture.image                       # a PIL image
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

from allaprima.core.files import make_folder, slug, write_whole
from allaprima.core.layout import PaintedLayout
from allaprima.core.painted_lora import PaintedLora, hashes_of
from allaprima.core.request import GenerationRequest

if TYPE_CHECKING:
    from PIL import Image

    from allaprima.core.picture_encoding import FileFormat

SHEET_GAP_PX = 8


@dataclass(frozen=True, kw_only=True)
class Rescues:
    """What overflowed on the way to a picture and was computed again in a wider number format."""

    texts: int = 0
    """Encodings of the prompts."""
    steps: int = 0
    """Predictions; from the first one on, the picture is painted in the wider format."""
    decodes: int = 0
    """Passes through the autoencoder, previews included."""

    @property
    def total(self) -> int:
        """The number of all of them."""
        return self.texts + self.steps + self.decodes

    def counts(self) -> dict[str, int]:
        """Return what is not zero, by name."""
        return {name: count for name, count in asdict(self).items() if count}

    def __add__(self, other: Rescues) -> Rescues:
        return Rescues(**{name: count + getattr(other, name) for name, count in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels and their request; equal pictures are equal bit for bit. A notebook shows it."""

    request: GenerationRequest
    """What it was painted from."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes (red, green, blue) a pixel: 3 * width * height bytes in all."""
    rescues: Rescues = Rescues()
    """What had to be computed again to get it; nothing, as a rule."""
    remarks: tuple[str, ...] = field(default=(), compare=False)
    """What its request says and it does not honour, or only in another sense: a sentence each, for every door."""
    loras: tuple[PaintedLora, ...] = field(default=(), compare=False)
    """The LoRAs that had a part in it; live frames do without."""
    base_hash: str | None = field(default=None, compare=False)
    """What sites and managers know the base's file by; None where that is not known."""
    painted_layout: PaintedLayout | None = field(default=None, repr=False)
    """What the base was told stands where: the request's layout, completed; None where it was told nothing."""
    step_cache: str | None = None
    """The step cache that it was painted with, such as "first-block 0.1", which no request holds; None for none."""
    init_strength: float | None = None
    """How strongly another picture was painted over, which no request holds; None where there was none."""
    inpaint_area: str | None = None
    """What a mask left to paint, in A1111's words for how the base was shown it, "Whole picture" or "Only masked", or
    what was added around the picture, such as "left=64,top=32"; None without a mask."""
    painted_size: tuple[int, int] | None = None
    """Width and height in pixels that it was painted at, where it was scaled afterwards; None where it was not."""

    def __post_init__(self) -> None:
        expected = 3 * self.width * self.height
        if len(self.rgb) != expected:
            size = f"{self.width}x{self.height}"
            raise ValueError(f"got {len(self.rgb)} bytes for a {size} picture; expected {expected}")

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image."""
        from PIL import Image  # here, for who speaks only about pictures loads no image library

        return Image.frombytes("RGB", (self.width, self.height), self.rgb)

    @property
    def infotext(self) -> str:
        """Its request and what else is known of it, in the words other programs read."""
        from allaprima.core.infotext import to_infotext
        from allaprima.core.picture_encoding import rescued

        return to_infotext(self.request, {**self._noted, **rescued(self.rescues.counts())})

    @property
    def _noted(self) -> dict[str, str]:
        from allaprima.core.picture_encoding import (
            PAINTED_SIZE,
            STEP_CACHE,
            hash_settings,
            underpainting_settings,
        )

        return {
            **underpainting_settings(self.init_strength, self.inpaint_area),
            **({} if self.step_cache is None else {STEP_CACHE: self.step_cache}),
            **({} if self.painted_size is None else {PAINTED_SIZE: "{}x{}".format(*self.painted_size)}),
            **hash_settings(self.base_hash, hashes_of(self.loras)),
        }

    def encode(self, file_format: FileFormat = "png", extra: Mapping[str, str] | None = None) -> bytes:
        """Return the bytes of a file that carries the request; see `picture_encoding.encode_file`."""
        from allaprima.core.picture_encoding import encode_file

        extra = {**self._noted, **(extra or {})}
        return encode_file(
            self.image,
            self.request,
            file_format,
            rescues=self.rescues.counts(),
            extra=extra,
            painted_layout=self.painted_layout,
        )

    def save(self, path: Path | str) -> Path:
        """Write the picture with its request inside, in place of a file that is there, and return where it is.

        Args:
            path: ends in .png, .jpg, .jpeg or .webp.

        Raises:
            OutputError: the name ends otherwise, or the place cannot be written; nothing half-written is left.
        """
        from allaprima.core.picture_encoding import save_encoded

        return save_encoded(Path(path), self.encode)

    def _repr_png_(self) -> bytes:
        return self.encode("png")


@dataclass(frozen=True)
class PictureSet(Sequence[Picture]):
    """Pictures that were painted together. A notebook shows them as a sheet."""

    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> PictureSet: ...
    def __getitem__(self, index: int | slice) -> Picture | PictureSet:
        return PictureSet(self.pictures[index]) if isinstance(index, slice) else self.pictures[index]

    @property
    def sheet(self) -> Image.Image:
        """All of them side by side, in about as many rows as columns, as a PIL image; ValueError without any."""
        from PIL import Image

        if not self:
            raise ValueError("got a set without pictures; expected at least one for a sheet")
        columns = math.ceil(math.sqrt(len(self)))
        width = max(picture.width for picture in self) + SHEET_GAP_PX
        height = max(picture.height for picture in self) + SHEET_GAP_PX
        rows = math.ceil(len(self) / columns)
        sheet = Image.new("RGB", (columns * width - SHEET_GAP_PX, rows * height - SHEET_GAP_PX), "white")
        for number, picture in enumerate(self):
            sheet.paste(picture.image, (number % columns * width, number // columns * height))
        return sheet

    def save(self, folder: Path | str) -> list[Path]:
        """Write each as a PNG with its request inside, under a free name made of prompt and seed.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        make_folder(folder)
        requests = [picture.request for picture in self]
        paths = [folder / f"{slug(request.prompt)}-{request.seed}.png" for request in requests]
        files = zip(paths, self, strict=True)
        return [write_whole(path, picture.encode(), overwrite=False) for path, picture in files]

    def _repr_png_(self) -> bytes | None:
        if not self:
            return None
        out = io.BytesIO()
        self.sheet.save(out, "PNG")
        return out.getvalue()

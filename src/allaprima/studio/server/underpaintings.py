"""What kept pictures were painted over: one PNG file each, in a folder of its own beside the pictures.

    underpaintings = Underpaintings(gallery_folder / "underpaintings")
    underpaintings.put(entry.id, init_image)
    init_image = underpaintings.find(entry.id)

The file holds the picture, the mask as its alpha (transparent keeps, opaque is painted), and how strongly it was
painted over: all or nothing of them is there. A kept picture's own file says nothing of them, so whoever is given
that is given no more.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core.errors import OutputError, RequestError
from allaprima.core.files import read_ordinary, write_whole
from allaprima.core.init_image import InitImage
from allaprima.core.picture_encoding import KEY
from allaprima.core.picture_opening import DAMAGED

LAYOUT = 1
_COMPRESSION = 1  # three times as quick to write as the usual level, and a tenth larger
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Underpaintings:
    """A folder of underpaintings by the ids of their pictures; for any number of threads. Made when one comes."""

    folder: Path

    def put(self, name: str, init_image: InitImage) -> None:
        """Keep what the picture `name` was painted over.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make {self.folder}: {error.strerror}; expected a folder open to you"
            ) from error
        write_whole(self._file(name), _encode(init_image), overwrite=True)

    def __contains__(self, name: str) -> bool:
        """Return whether there is one for the picture `name`."""
        return self._file(name).exists()

    def find(self, name: str) -> InitImage | None:
        """Return what the picture `name` was painted over; None if nothing, or if its file is damaged."""
        try:
            return _decode(read_ordinary(self._file(name)))
        except FileNotFoundError:
            return None
        except (*DAMAGED, RequestError) as error:
            _LOG.warning("the underpainting of %s cannot be read: %s", name, error)
            return None

    def delete(self, name: str) -> None:
        """Delete what the picture `name` was painted over, if there is something."""
        self._file(name).unlink(missing_ok=True)

    def tidy(self, pictures: Collection[str], before_s: float) -> None:
        """Delete what belongs to none of `pictures`, and half-written files, older than the Unix time `before_s`.

        What is younger may be a picture's that is being kept now.
        """
        for file in (*self.folder.glob("*.png"), *self.folder.glob(".*.part")):
            if (file.suffix == ".part" or file.stem not in pictures) and file.lstat().st_mtime < before_s:
                file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.png"


def _encode(init_image: InitImage) -> bytes:
    whole = init_image.whole
    size = (whole.width, whole.height)
    image = Image.frombytes("RGB", size, whole.rgb)
    if whole.mask is not None:
        image.putalpha(Image.frombytes("L", size, whole.mask))
    facts = {
        "layout": LAYOUT,
        "strength": whole.strength,
        "full_steps": whole.full_steps,
        **_window(init_image),
    }
    text, out = PngInfo(), io.BytesIO()
    text.add_text(KEY, json.dumps(facts))
    image.save(out, "PNG", pnginfo=text, compress_level=_COMPRESSION)
    return out.getvalue()


def _window(init_image: InitImage) -> dict[str, Any]:
    """Return what a window is made again from, nothing for a whole picture."""
    if init_image.surround is None:
        return {}
    window = {"box": init_image.surround.box, "width": init_image.width, "height": init_image.height}
    return {"window": {**window, "fill": _cut(init_image.whole, window) != init_image}}


def _decode(data: bytes) -> InitImage:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        facts: dict[str, Any] = json.loads(image.info[KEY])
        if facts["layout"] != LAYOUT:
            raise RequestError(f"got an underpainting of layout {facts['layout']}; expected {LAYOUT}")
        whole = InitImage(
            width=image.width,
            height=image.height,
            rgb=image.convert("RGB").tobytes(),
            mask=image.getchannel("A").tobytes() if image.mode == "RGBA" else None,
            strength=facts["strength"],
            full_steps=bool(facts["full_steps"]),
        )
    return whole if "window" not in facts else _cut(whole, facts["window"])


def _cut(whole: InitImage, window: Mapping[str, Any]) -> InitImage:
    """Return the window of a whole picture and its mask."""
    assert whole.mask is not None, "windows are cut around what a mask paints"
    size = (whole.width, whole.height)
    picture, mask = Image.frombytes("RGB", size, whole.rgb), Image.frombytes("L", size, whole.mask)
    values = {**window, "box": tuple(window["box"])}
    cut = InitImage.window(picture, mask, strength=whole.strength, **values)
    return replace(cut, full_steps=whole.full_steps)

"""Pictures as PNG, JPEG and WebP files that carry the request they were painted from.

Two forms are written, so that other programs and this one can both read them:

* the A1111 infotext (see `infotext`): PNG text `parameters`; EXIF UserComment in JPEG and WebP;
* our JSON: PNG text `allaprima`; in JPEG and WebP the last setting of the infotext, also named `allaprima`, or all of
  the comment in a picture that was never painted.

Our JSON is `layout`, the version of this form, `request` and, where there is something to say, `rescues`,
`painted_layout` (what the base was told stands where) and `retouch`: what was done to the picture afterwards. An XMP
packet says besides that a model made the pixels, or a part of them (see `provenance`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core.errors import OutputError
from allaprima.core.files import check_target, write_whole
from allaprima.core.infotext import to_infotext, with_settings
from allaprima.core.layout import PaintedLayout
from allaprima.core.layout_json import painted_to_json
from allaprima.core.provenance import (
    PNG_KEY,
    DigitalSource,
    source_of_painting,
    source_of_retouching,
    xmp_packet,
)
from allaprima.core.request import GenerationRequest, Quality
from allaprima.core.retouch import Operation, operations_to_json

FileFormat = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[str, FileFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
QUALITY: dict[Quality, int] = {"high": 95, "medium": 80}
"""The JPEG and WebP quality a request's word stands for."""

KEY = "allaprima"
STRENGTH = "Denoising strength"
"""A1111's word in the infotext of what was painted over another picture."""
MODEL_HASH = "Model hash"
PAINTED_SIZE = "Painted size"
"""What the infotext calls the size at which a picture was painted that was scaled afterwards, such as 256x256."""
STEP_CACHE = "Step cache"
LORA_HASHES = "Lora hashes"
INPAINT_AREA = "Inpaint area"
"""A1111's word for which part of that was painted."""
NO_ALPHA = "got a picture with transparent parts for a JPEG file, which has none; expected .png or .webp"
LAYOUT = 1  # of our JSON; a reader refuses one it does not know
EXIF_IFD = 0x8769
USER_COMMENT = 0x9286
UTF16 = b"UNICODE\0"


def save_encoded(path: Path, encode: Callable[[FileFormat], bytes]) -> Path:
    """Write what `encode` makes of the format that a name ends in, in place of a file that is there; return `path`.

    Raises:
        OutputError: the name ends otherwise, or the place cannot be written; nothing half-written is left.
    """
    file_format = SUFFIXES.get(path.suffix.lower())
    if file_format is None:
        raise OutputError(f"got the file name {path}; expected one that ends in {', '.join(SUFFIXES)}")
    check_target(path)
    return write_whole(path, encode(file_format), overwrite=True)


def underpainting_settings(strength: float | None, area: str | None) -> dict[str, str]:
    """Return what the infotext says of the picture that was painted over; see the fields of `Picture`."""
    said = {STRENGTH: None if strength is None else repr(strength), INPAINT_AREA: area}
    return {name: value for name, value in said.items() if value is not None}


def hash_settings(base: str | None, loras: Mapping[str, str]) -> dict[str, str]:
    """Return what the infotext says of the files of base and LoRAs, as A1111 has it: ink: 0123456789ab, oil: ..."""
    listed = ", ".join(f"{name}: {digits}" for name, digits in loras.items())
    return {name: said for name, said in ((MODEL_HASH, base), (LORA_HASHES, listed)) if said}


def encode_file(
    image: Image.Image,
    request: GenerationRequest,
    file_format: FileFormat,
    *,
    rescues: Mapping[str, int],
    extra: Mapping[str, str],
    painted_layout: PaintedLayout | None = None,
) -> bytes:
    """Return the RGB `image` as the bytes of a file that carries its request.

    PNG keeps the pixels exactly; JPEG and WebP are written at the quality the request names.

    Args:
        rescues: what had to be computed again, by name; told in both forms, as in "Rescued steps: 1".
        extra: settings for the infotext: what the request does not hold, such as how strongly another picture was
            painted over.
        painted_layout: what the base was told stands where, for our form.
    """
    extra = {**extra, **rescued(rescues)}
    noted: dict[str, Any] = {"rescues": rescues} if rescues else {}
    if painted_layout is not None:
        noted["painted_layout"] = painted_to_json(painted_layout)
    ours = {"layout": LAYOUT, "request": request.to_json(), **noted}
    source = source_of_painting(over_another=STRENGTH in extra)
    return _write(image, file_format, request.quality, to_infotext(request, extra), ours, source)


def rescued(rescues: Mapping[str, int]) -> dict[str, str]:
    """Return what had to be computed again as settings of an infotext."""
    return {f"Rescued {name}": str(count) for name, count in rescues.items()}


def encode_retouched(
    image: Image.Image,
    file_format: FileFormat,
    *,
    operations: Sequence[Operation],
    request: GenerationRequest | None,
    infotext: str | None,
) -> bytes:
    """Return the bytes of a file that carries what was done to a picture, and its request if it has one.

    What another program wrote into the picture stays; what was done is added to its last line.

    Raises:
        OutputError: something is transparent, and JPEG files know no transparency.
    """
    if file_format == "jpeg" and image.mode == "RGBA":
        raise OutputError(NO_ALPHA)
    infotext = infotext or (None if request is None else to_infotext(request))
    settings = {key: value for one in operations for key, value in one.settings.items()}
    if infotext is not None and settings:
        infotext = with_settings(infotext, settings)
    ours: dict[str, Any] = {"layout": LAYOUT, "retouch": operations_to_json(operations)}
    if request is not None:
        ours["request"] = request.to_json()
    source = source_of_retouching(operations, painted=infotext is not None)
    return _write(image, file_format, "high" if request is None else request.quality, infotext, ours, source)


def _write(
    image: Image.Image,
    file_format: FileFormat,
    quality: Quality,
    infotext: str | None,
    ours: Mapping[str, Any],
    source: DigitalSource,
) -> bytes:
    """Return the bytes of a file with an infotext, if there is one, our JSON, and where its pixels come from."""
    json_text, xmp = json.dumps(ours, ensure_ascii=False), xmp_packet(source)
    out = io.BytesIO()
    if file_format == "png":
        text = PngInfo()
        if infotext is not None:
            text.add_text("parameters", infotext)
        text.add_text(KEY, json_text)
        text.add_itxt(PNG_KEY, xmp)
        image.save(out, "PNG", pnginfo=text)
        return out.getvalue()
    settings: dict[str, Any] = {
        "quality": QUALITY[quality], "exif": _to_exif(infotext, json_text), "xmp": xmp.encode()
    }  # fmt: skip
    if file_format == "jpeg":
        # Coloured edges are what these pictures consist of, so the high quality keeps colour at full size.
        settings["subsampling"] = "4:4:4" if quality == "high" else "4:2:0"
    image.save(out, file_format.upper(), **settings)
    return out.getvalue()


def _to_exif(infotext: str | None, ours: str) -> bytes:
    text = f"{KEY}: {ours}" if infotext is None else with_settings(infotext, {KEY: ours})
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = UTF16 + text.encode("utf-16-be")
    return exif.tobytes()

"""Pictures as PNG, JPEG and WebP files that carry the request they were painted from.

Two forms are written, so that other programs and this one can both read them:

* the A1111 infotext (see `infotext`): PNG text `parameters`; EXIF UserComment in JPEG and WebP;
* our JSON: PNG text `allaprima`; in JPEG and WebP the last setting of the infotext, also named `allaprima`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core.infotext import to_infotext
from allaprima.core.request import GenerationRequest, Quality

FileFormat = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[str, FileFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
QUALITY: dict[Quality, int] = {"high": 95, "medium": 80}
"""The JPEG and WebP quality a request's word stands for."""

KEY = "allaprima"
STRENGTH = "Denoising strength"
"""A1111's word in the infotext of what was painted over another picture."""
INPAINT_AREA = "Inpaint area"
"""A1111's word for which part of that was painted."""
LAYOUT = 1  # of our JSON; a reader refuses one it does not know
EXIF_IFD = 0x8769
USER_COMMENT = 0x9286
UTF16 = b"UNICODE\0"
ASCII = b"ASCII\0\0\0"


def underpainting_settings(strength: float | None, area: str | None) -> dict[str, str]:
    """Return what the infotext says of the picture that was painted over; see the fields of `Picture`."""
    said = {STRENGTH: None if strength is None else repr(strength), INPAINT_AREA: area}
    return {name: value for name, value in said.items() if value is not None}


def encode_file(
    image: Image.Image,
    request: GenerationRequest,
    file_format: FileFormat,
    *,
    rescues: Mapping[str, int],
    extra: Mapping[str, str],
) -> bytes:
    """Return the RGB `image` as the bytes of a file that carries its request.

    PNG keeps the pixels exactly; JPEG and WebP are written at the quality the request names.

    Args:
        rescues: what had to be computed again, by name; told in both forms, as in "Rescued steps: 1".
        extra: settings for the infotext: what the request does not hold, such as how strongly another picture was
            painted over.
    """
    extra = {**extra, **{f"Rescued {name}": str(count) for name, count in rescues.items()}}
    ours = _to_our_json(request, rescues)
    out = io.BytesIO()
    if file_format == "png":
        text = PngInfo()
        text.add_text("parameters", to_infotext(request, extra))
        text.add_text(KEY, ours)
        image.save(out, "PNG", pnginfo=text)
        return out.getvalue()
    settings: dict[str, Any] = {"quality": QUALITY[request.quality], "exif": _to_exif(request, extra, ours)}
    if file_format == "jpeg":
        # Coloured edges are what these pictures consist of, so the high quality keeps colour at full size.
        settings["subsampling"] = "4:4:4" if request.quality == "high" else "4:2:0"
    image.save(out, file_format.upper(), **settings)
    return out.getvalue()


def _to_our_json(request: GenerationRequest, rescues: Mapping[str, int]) -> str:
    noted = {"rescues": rescues} if rescues else {}
    return json.dumps({"layout": LAYOUT, "request": request.to_json(), **noted}, ensure_ascii=False)


def _to_exif(request: GenerationRequest, extra: Mapping[str, str], ours: str) -> bytes:
    text = to_infotext(request, {**extra, KEY: ours})
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = UTF16 + text.encode("utf-16-be")
    return exif.tobytes()

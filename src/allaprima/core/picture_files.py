"""Pictures as PNG, JPEG and WebP files that carry the request they were painted from.

Two forms are written, so that other programs and this one can both read them:

* the A1111 infotext (see `infotext`): PNG text `parameters`; EXIF UserComment in JPEG and WebP;
* our JSON: PNG text `allaprima`; in JPEG and WebP the last setting of the infotext, also named `allaprima`.

Reading trusts nothing: only headers are parsed, sizes are limited, and a request found is checked.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.infotext import MAX_CHARS, from_infotext, split_infotext, to_infotext
from allaprima.core.request import GenerationRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allaprima.core.picture import Picture
    from allaprima.core.request import Quality

FileFormat = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[str, FileFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
QUALITY: dict[Quality, int] = {"high": 95, "medium": 80}
"""The JPEG and WebP quality a request's word stands for."""

MAX_FILE_BYTES = 256 * 2**20
_KEY = "allaprima"
_LAYOUT = 1  # of our JSON; a reader refuses one it does not know
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_UTF16 = b"UNICODE\0"
_ASCII = b"ASCII\0\0\0"
# What Pillow raises on damaged headers; its own documentation names only some of them.
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    AttributeError, struct.error, Warning, Image.DecompressionBombError,
)  # fmt: skip


def encode_picture(
    picture: Picture, file_format: FileFormat = "png", extra: Mapping[str, str] | None = None
) -> bytes:
    """Return `picture` as the bytes of a file that carries its request.

    PNG keeps the pixels exactly; JPEG and WebP are written at the quality the request names. `extra` settings are
    told in the infotext: what the request does not hold, such as how strongly another picture was painted over.
    What had to be rescued is told in both forms, as in "Rescued steps: 1".
    """
    rescues = picture.rescues.counts()
    extra = {**(extra or {}), **{f"Rescued {name}": str(count) for name, count in rescues.items()}}
    ours = _to_our_json(picture.request, rescues)
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    request = picture.request
    out = io.BytesIO()
    if file_format == "png":
        text = PngInfo()
        text.add_text("parameters", to_infotext(request, extra))
        text.add_text(_KEY, ours)
        image.save(out, "PNG", pnginfo=text)
    elif file_format == "jpeg":
        high = request.quality == "high"
        # Coloured edges are what these pictures consist of, so the high quality keeps colour at full size.
        sampling = "4:4:4" if high else "4:2:0"
        image.save(
            out,
            "JPEG",
            quality=QUALITY[request.quality],
            subsampling=sampling,
            exif=_to_exif(request, extra, ours),
        )
    else:
        image.save(out, "WEBP", quality=QUALITY[request.quality], exif=_to_exif(request, extra, ours))
    return out.getvalue()


def read_request(path: Path) -> GenerationRequest:
    """Return the request that the picture file at `path` carries.

    Our own JSON wins; a file of another program is read by its infotext.

    Raises:
        PictureError: there is no such file, it is no picture, it carries no request, or a damaged one.
    """
    texts = _read_texts(path)
    if texts is None:
        raise PictureError(
            f"{path} carries no request; expected a picture painted by prima, "
            "or one with A1111 parameters, that no program has stripped"
        )
    infotext, our_json = texts
    try:
        return _from_our_json(our_json) if our_json is not None else from_infotext(infotext)
    except RequestError as error:
        raise PictureError(f"the request in {path} cannot be used: {error}") from error


def read_infotext(file: BinaryIO) -> str | None:
    """Return the A1111 infotext that an open picture file carries, None if it carries none.

    Raises:
        PictureError: it is no PNG, JPEG or WebP picture, or a damaged one.
    """
    texts = _parse_safely(file, "the picture")
    return None if texts is None else texts[0]


def _to_our_json(request: GenerationRequest, rescues: Mapping[str, int]) -> str:
    told = {"rescues": rescues} if rescues else {}
    return json.dumps({"layout": _LAYOUT, "request": request.to_json(), **told}, ensure_ascii=False)


def _from_our_json(text: str) -> GenerationRequest:
    if len(text) > MAX_CHARS:
        raise RequestError(f"got JSON of {len(text):,} characters; expected at most {MAX_CHARS:,}")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("got damaged JSON; expected an object with a request") from None
    if not isinstance(data, dict) or data.get("layout") != _LAYOUT:
        raise RequestError(
            f"got JSON of another layout; expected layout {_LAYOUT}, perhaps a newer prima reads it"
        )
    return GenerationRequest.from_json(data.get("request"))  # type: ignore[arg-type]  # it checks the type itself


def _to_exif(request: GenerationRequest, extra: Mapping[str, str], ours: str) -> bytes:
    text = to_infotext(request, {**extra, _KEY: ours})
    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _UTF16 + text.encode("utf-16-be")
    return exif.tobytes()


def _read_texts(path: Path) -> tuple[str, str | None] | None:
    """Return the infotext and our JSON (None where absent), or None if the file holds neither."""
    _check_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        return _parse_safely(file, str(path))


def _parse_safely(file: BinaryIO, name: str) -> tuple[str, str | None] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns about damaged EXIF and reads on
            # A large picture is no danger here, for its pixels are never decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _parse_texts(file)
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} cannot be read as a PNG, JPEG or WebP picture: it is none") from error
    except _DAMAGED as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise PictureError(f"{name} cannot be read as a PNG, JPEG or WebP picture: {reason}") from error


def _check_file(path: Path) -> None:
    problem = None
    try:
        if path.is_dir():
            problem = "is a folder"
        elif not path.exists():
            problem = "does not exist"
        elif not path.is_file():
            problem = "is no ordinary file"  # reading a pipe would wait for ever
        elif (size := path.stat().st_size) > MAX_FILE_BYTES:
            problem = f"has {size:,} bytes, more than {MAX_FILE_BYTES:,}"
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        problem = f"cannot be read ({error})"
    if problem is not None:
        raise PictureError(f"{str(path)[:200]} {problem}; expected a picture file")


def _parse_texts(file: BinaryIO) -> tuple[str, str | None] | None:
    head = file.read(12)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        # Pillow would set up a decoder for the whole canvas; the header says nothing about whether that is
        # sane.
        return _split_comment(_webp_exif(file))
    with Image.open(file, formats=("PNG", "JPEG")) as image:
        if image.format == "JPEG":
            return _split_comment(image.info.get("exif", b""))
        infotext, our_json = image.info.get("parameters"), image.info.get(_KEY)
    if infotext is None and our_json is None:
        return None
    return str(infotext or ""), None if our_json is None else str(our_json)


def _webp_exif(file: BinaryIO) -> bytes:
    """Return the EXIF chunk of a WebP file, or nothing (container: RFC 9649, section 2.3)."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"EXIF":
            return file.read(min(length, 8 * MAX_CHARS))
        file.seek(length + length % 2, io.SEEK_CUR)
    return b""


def _split_comment(exif_bytes: bytes) -> tuple[str, str | None] | None:
    if not exif_bytes:
        return None
    exif = Image.Exif()
    exif.load(exif_bytes)
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if not isinstance(comment, bytes):
        return None
    if comment.startswith(_UTF16):
        infotext = comment[len(_UTF16) :].decode("utf-16-be")
    elif comment.startswith(_ASCII):
        infotext = comment[len(_ASCII) :].decode("ascii")
    else:
        return None
    try:
        return infotext, split_infotext(infotext)[2].get(_KEY)
    except RequestError:  # a photographer's comment, say
        return None

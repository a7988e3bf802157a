"""What a file is by its first bytes: a format of pictures that is read here, or something else that has a name."""

from __future__ import annotations

READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The formats of pictures that are read, as Pillow names them."""
EXPECTED = "a PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF picture"
HEAD_BYTES = 512
"""As much of a file as `find_format` and `describe` look at."""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"), (b"BM", "BMP"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"),
)  # fmt: skip
_BRANDS = {
    b"heic": "an HEIC picture", b"heix": "an HEIC picture", b"mif1": "a HEIF picture", b"msf1": "a HEIF picture",
    b"heif": "a HEIF picture", b"crx ": "a camera's raw picture", b"jxl ": "a JPEG XL picture",
}  # fmt: skip
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself, which `git lfs pull` fetches"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"), (b"\xff\x0a", "a JPEG XL picture"), (b"DDS ", "a DDS texture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"), (b"\0\0\1\0", "an icon (ICO)"), (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"), (b"%PDF", "a PDF document"), (b"%!PS", "a PostScript document"),
    (b"PK\3\4", "a zip archive, or a document made of one"), (b"\x1f\x8b", "a gzip archive"),
    (b"qoif", "a QOI picture"), (b"\x1aE\xdf\xa3", "a film (Matroska or WebM)"), (b"GGUF", "a GGUF weight file"),
)  # fmt: skip
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"),
    (b"data:", "a data URL; its part behind the comma, decoded, is the picture"), (b"{", "JSON"),
)  # fmt: skip


def find_format(head: bytes) -> str | None:
    """Return the name of the format that a file's first bytes tell, one of `READ`; None for any other."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = [
            head[8:12],
            *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), 64), 4)),
        ]
        return "AVIF" if {b"avif", b"avis"} & set(brands) else None
    return next((name for start, name in _STARTS if head.startswith(start)), None)


def describe(head: bytes) -> str:
    """Return what a file that is no picture of `READ` seems to be, as the end of a sentence."""
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a film (MP4)")
    if (known := next((name for start, name in _OTHERS if head.startswith(start)), None)) is not None:
        return known
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if known := next((name for start, name in _TEXTS if text.startswith(start)), None):
        return known
    if text.startswith(b"<?xml"):
        return "an SVG drawing" if b"<svg" in text else "XML"
    return "text" if _is_text(head) else "no picture"


def _is_text(head: bytes) -> bool:
    try:
        return head[: len(head) - 4].decode("utf-8").isprintable() or b"\0" not in head
    except UnicodeDecodeError:
        return False

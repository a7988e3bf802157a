from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core import image_files
from allaprima.core.errors import PictureError
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
REQUESTS = (
    GenerationRequest(prompt="a cat on a rooftop", seed=2**63 - 1, guidance=3.3, quality="medium"),
    GenerationRequest(
        prompt='"一只猫", 在屋顶: 🐱\\', negative_prompt="Steps: 1, Seed: 2, Size: 3x4", steps=1
    ),
    GenerationRequest(prompt='"' * 1000, negative_prompt="🐱" * 1000),
)


def paint_noise(request: GenerationRequest, width: int = 64, height: int = 48) -> Picture:
    return Picture(request=request, width=width, height=height, rgb=os.urandom(3 * width * height))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("request_", REQUESTS, ids=["plain", "quotes", "longest"])
def test_a_file_carries_its_request(
    tmp_path: Path, file_format: FileFormat, request_: GenerationRequest
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(paint_noise(request_).encode(file_format))
    assert read_request(path) == request_
    with Image.open(path) as image:
        assert (image.format, image.size) == (file_format.upper(), (64, 48))
        image.load()


def png_with(tmp_path: Path, **texts: str) -> Path:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    path = tmp_path / "other.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def jpeg_with(tmp_path: Path, comment: bytes) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    path = tmp_path / "other.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def test_pictures_of_other_programs_are_read(tmp_path: Path) -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
    expected = GenerationRequest(prompt="a cat", steps=20, guidance=7, seed=1, width=512, height=512)
    assert read_request(png_with(tmp_path, parameters=text)) == expected
    assert read_request(jpeg_with(tmp_path, b"ASCII\0\0\0" + text.encode())) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "damaged JSON"),
        ("[" * 50_000, "damaged JSON"),
        ("9" * 5000, "damaged JSON"),
        ("[]", "another layout"),
        ('{"layout": 2, "request": {"prompt": "a"}}', "another layout"),
        ('{"layout": 1}', "of type NoneType"),
        ('{"layout": 1, "request": {"prompt": "a", "steps": 1e9}}', "got steps 1000000000.0"),
        ('{"layout": 1, "request": {"prompt": "a", "steps": NaN}}', "got steps nan"),
        ('{"layout": 1, "request": {"prompt": "a\\u001b[2J"}}', "control character"),
        ('{"layout": 1, "request": {"prompt": "a", "run": "rm"}}', "unknown key"),
        (" " * 200_000, "200,000 characters"),
    ],
)
def test_a_damaged_request_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PictureError, match=told):
        read_request(png_with(tmp_path, allaprima=text))


def test_pictures_without_a_request_are_told(tmp_path: Path) -> None:
    for path in (
        png_with(tmp_path, Comment="hello"),
        jpeg_with(tmp_path, b"UNICODE\0" + "holiday".encode("utf-16-be")),
        jpeg_with(tmp_path, b"JIS\0\0\0\0\0abc"),
    ):
        with pytest.raises(PictureError, match="carries no request"):
            read_request(path)
    webp = tmp_path / "plain.webp"
    Image.new("RGB", (8, 8)).save(webp)
    with pytest.raises(PictureError, match="carries no request"):
        read_request(webp)


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    missing, empty, text, pipe = (
        tmp_path / name for name in ("missing.png", "empty.png", "text.png", "pipe")
    )
    empty.touch()
    text.write_text("hello")
    os.mkfifo(pipe)
    gif = tmp_path / "x.gif"
    Image.new("P", (8, 8)).save(gif)
    cases = {
        missing: "does not exist",
        tmp_path: "is a folder",
        pipe: "no ordinary file",
        empty: "cannot be read",
    }
    for path, told in (cases | {text: "cannot be read", gif: "cannot be read"}).items():
        with pytest.raises(PictureError, match=told):
            read_request(path)
    with pytest.raises(PictureError, match="expected a picture file"):
        read_request(Path("x" * 5000))
    with pytest.raises(PictureError, match="expected a picture file"):
        read_request(Path("a\0b"))


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(image_files.MAX_FILE_BYTES + 1)  # a hole: it takes no room
    with pytest.raises(PictureError, match="more than"):
        read_request(path)


def test_compressed_text_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    bomb = chunk(b"zTXt", b"allaprima\0\0" + zlib.compress(b" " * 50_000_000))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + bomb + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(PictureError):
        read_request(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(FORMATS), st.data())
def test_any_damage_is_told_or_harmless(tmp_path: Path, file_format: FileFormat, data: st.DataObject) -> None:
    picture = Picture(request=REQUESTS[0], width=8, height=8, rgb=bytes(192))
    whole = bytearray(picture.encode(file_format))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole), 900) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with suppress(PictureError):
        read_request(path)

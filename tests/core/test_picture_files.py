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

from allaprima.core.errors import PictureError
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.picture_files import import_request, read_request
from allaprima.core.picture_opening import MAX_FILE_BYTES
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


TEXT = "a cat 猫\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 123, Size: 512x768"
FROM_TEXT = GenerationRequest(prompt="a cat 猫", steps=20, guidance=7, seed=123, width=512, height=768)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(72)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        chunk(b"tEXt", b"parameters\0" + TEXT.encode()),
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(TEXT.encode())),
        chunk(b"iTXt", b"parameters\0\0\0\0\0" + TEXT.encode()),
        chunk(b"iTXt", b"parameters\0\1\0en\0words\0" + zlib.compress(TEXT.encode())),
        chunk(b"tEXt", b"Comment\0hello") + chunk(b"tEXt", b"Description\0" + TEXT.encode()),
    ],
)
def test_text_of_a_png_is_read_behind_its_pixels_too(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png_of(body))
    assert read_request(path) == FROM_TEXT


CODES = (b"UNICODE\0", b"Unicode\0", b"ASCII\0\0\0", b"\0" * 8, b"")
ENCODINGS = ("utf-16-be", "utf-16-le", "utf-16", "utf-8", "utf-8-sig")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_comment_is_read_in_any_encoding(tmp_path: Path, code: bytes, encoding: str) -> None:
    assert read_request(jpeg_with(tmp_path, code + TEXT.encode(encoding))) == FROM_TEXT
    assert read_request(jpeg_with(tmp_path, code + TEXT.encode(encoding) + b"\0\0")) == FROM_TEXT


@pytest.mark.parametrize("file_format", ["jpeg", "webp", "png", "avif"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x010E, TEXT.encode()),  # ImageDescription
        (0x010E, TEXT.encode("utf-16-le")),
        (0x9C9C, TEXT.encode("utf-16-le") + b"\0\0"),  # XPComment
        (0x9286, b"UNICODE\0" + TEXT.encode("utf-16-le")),  # a UserComment in the wrong directory
    ],
)
def test_words_are_found_in_any_directory(
    tmp_path: Path, file_format: str, endian: str, tag: int, value: bytes
) -> None:
    path = tmp_path / f"x.{file_format}"
    kind = 2 if tag == 0x010E else 1 if tag == 0x9C9C else 7
    mark = b"II*\0" if endian == "<" else b"MM\0*"
    entry = struct.pack(f"{endian}HHII", tag, kind, len(value), 26)
    exif = mark + struct.pack(f"{endian}IH", 8, 1) + entry + struct.pack(f"{endian}I", 0) + value
    Image.new("RGB", (8, 8)).save(path, exif=b"Exif\0\0" + exif)
    assert read_request(path) == FROM_TEXT


def test_the_words_of_a_tiff_are_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.tif", tiffinfo={0x010E: TEXT.encode()})
    assert read_request(tmp_path / "x.tif") == FROM_TEXT


def test_a_comment_of_a_jpeg_or_gif_is_read(tmp_path: Path) -> None:
    for name in ("x.jpg", "x.gif"):
        Image.new("L", (8, 8)).save(tmp_path / name, comment=TEXT.encode())
        assert read_request(tmp_path / name) == FROM_TEXT


FOREIGN: dict[str, dict[str, str]] = {
    "SwarmUI": {"parameters": '{"sui_image_params": {"prompt": "a cat", "seed": 1}}'},
    "ComfyUI": {"prompt": '{"3": {"class_type": "KSampler"}}', "workflow": '{"nodes": []}'},
    "InvokeAI": {"invokeai_metadata": '{"positive_prompt": "a cat"}'},
    "Fooocus": {"parameters": '{"prompt": "a cat", "fooocus_version": "2"}', "fooocus_scheme": "fooocus"},
    "NovelAI": {"Software": "NovelAI", "Comment": '{"prompt": "a cat", "uc": "x", "scale": 5}'},
    "Draw Things": {"Comment": '{"c": "a cat", "uc": "", "v2": {}}'},
    "Easy Diffusion": {"num_inference_steps": "20", "prompt": "a cat"},
}


@pytest.mark.parametrize("program", FOREIGN)
def test_what_other_programs_write_is_named(tmp_path: Path, program: str) -> None:
    with pytest.raises(PictureError, match=f"carries {program}'s? ?.*which prima does not read"):
        read_request(png_with(tmp_path, **FOREIGN[program]))


def test_the_graph_of_a_webp_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = 'workflow:{"nodes": []}', 'prompt:{"3": {"class_type": "KSampler"}}'
    Image.new("RGB", (8, 8)).save(tmp_path / "x.webp", exif=exif)
    with pytest.raises(PictureError, match="carries ComfyUI's graph of nodes"):
        read_request(tmp_path / "x.webp")
    with pytest.raises(PictureError, match="carries SwarmUI's JSON"):
        read_request(jpeg_with(tmp_path, b"UNICODE\0" + FOREIGN["SwarmUI"]["parameters"].encode("utf-16-be")))


def test_a_picture_that_was_enlarged_was_not_painted_over_another(tmp_path: Path) -> None:
    over = import_request(png_with(tmp_path, parameters=TEXT + ", Denoising strength: 0.5"))
    assert over.request == FROM_TEXT
    assert over.init_strength == "0.5"
    enlarged = import_request(
        png_with(tmp_path, parameters=TEXT + ", Denoising strength: 0.5, Hires upscale: 2")
    )
    assert enlarged.remarks == ("not followed here: Hires upscale: 2",)
    assert enlarged.init_strength is None


def test_words_of_a_picture_of_any_size_are_read(tmp_path: Path) -> None:
    path = png_with(tmp_path, parameters=TEXT)
    whole = path.read_bytes()
    path.write_bytes(whole[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + whole[24:])
    assert read_request(path) == FROM_TEXT


def test_a_damaged_exif_hides_no_words(tmp_path: Path) -> None:
    path = png_with(tmp_path, parameters=TEXT)
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff\1\2") + whole[33:])
    assert read_request(path) == FROM_TEXT


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
        empty: "cannot be read: got a file that is empty",
        text: "cannot be read: got a file that is text; expected a PNG, JPEG",
        gif: "carries no request",
    }
    for path, told in cases.items():
        with pytest.raises(PictureError, match=told):
            read_request(path)
    with pytest.raises(PictureError, match="expected a picture file"):
        read_request(Path("x" * 5000))
    with pytest.raises(PictureError, match="expected a picture file"):
        read_request(Path("a\0b"))


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no room
    with pytest.raises(PictureError, match="more than"):
        read_request(path)


def test_compressed_text_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
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

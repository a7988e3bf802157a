"""Signed picture files, read back by the library that others read them with."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny_certificates import write_certificates
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.content_credentials import ContentCredentials
from allaprima.core.errors import UserError
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.picture_files import import_request
from allaprima.core.request import GenerationRequest
from allaprima.studio.server.gallery import Gallery

c2pa = pytest.importorskip("c2pa")
PICTURE = Picture(request=GenerationRequest(prompt="猫"), width=16, height=16, rgb=bytes(range(256)) * 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def read(data: bytes, file_format: str) -> dict[str, Any]:
    """Return what the active statement in a file says; it must be whole and of these pixels."""
    told = json.loads(c2pa.Reader(f"image/{file_format}", io.BytesIO(data)).json())
    faults = {one["code"] for one in told.get("validation_status", [])}
    assert faults <= {"signingCredential.untrusted"}  # nobody knows the test's authority
    statement: dict[str, Any] = told["manifests"][told["active_manifest"]]
    return statement


def source_of(statement: dict[str, Any]) -> str:
    (actions,) = [one for one in statement["assertions"] if one["label"].startswith("c2pa.actions")]
    address: str = actions["data"]["actions"][0]["digitalSourceType"]
    return address.rpartition("/")[2]


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_a_signed_file_says_who_made_it_and_keeps_all_else(
    files: tuple[Path, Path], tmp_path: Path, file_format: FileFormat
) -> None:
    plain = PICTURE.encode(file_format)
    signed = ContentCredentials(*files).sign(plain, file_format)
    statement = read(signed, file_format)
    assert statement["claim_generator_info"][0]["name"] == "Alla Prima"
    assert source_of(statement) == "trainedAlgorithmicMedia"
    assert statement["signature_info"]["common_name"] == "Test signer"
    assert len(signed) - len(plain) < 20_000
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(signed)) as after:
        assert before.tobytes() == after.tobytes()
    path = tmp_path / f"cat.{file_format}"
    path.write_bytes(signed)
    assert import_request(path).request == PICTURE.request


def test_what_was_painted_over_another_picture_says_so(files: tuple[Path, Path]) -> None:
    over = Picture(**{**vars(PICTURE), "init_strength": 0.5})
    signed = ContentCredentials(*files).sign(over.encode("png"), "png")
    assert source_of(read(signed, "png")) == "compositeWithTrainedAlgorithmicMedia"


def test_a_changed_pixel_shows(files: tuple[Path, Path]) -> None:
    signed = bytearray(ContentCredentials(*files).sign(PICTURE.encode("webp"), "webp"))
    signed[signed.index(b"VP8") + 60] ^= 1
    told = json.loads(c2pa.Reader("image/webp", io.BytesIO(bytes(signed))).json())
    assert "assertion.dataHash.mismatch" in {one["code"] for one in told["validation_status"]}


def test_what_cannot_sign_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = files
    (tmp_path / "junk.pem").write_text("junk")
    for certificate, secret in ((chain, tmp_path / "junk.pem"), (tmp_path / "junk.pem", key), (key, chain)):
        with pytest.raises(UserError, match="cannot sign with"):
            ContentCredentials(certificate, secret)
    with pytest.raises(UserError, match="cannot read"):
        ContentCredentials(tmp_path / "nowhere.pem", key)
    with pytest.raises(UserError, match="cannot sign with"):
        ContentCredentials(chain, chain.parent / "above.key")


def test_the_command_signs(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = write_tiny_vignette(tmp_path / "weights")
    asked = ["paint", "a cat", "--weights", str(weights), "--steps", "1", "-o", "cat.jpg"]
    assert run([*asked, "--c2pa", str(files[0]), str(files[1])]) == 0
    assert source_of(read((tmp_path / "cat.jpg").read_bytes(), "jpeg")) == "trainedAlgorithmicMedia"
    assert run([*asked, "--c2pa", str(files[1]), str(files[0])]) == 2
    assert "cannot sign with" in capsys.readouterr().err


def test_the_gallery_signs_what_it_keeps(files: tuple[Path, Path], tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "gallery", credentials=ContentCredentials(*files))
    entry = gallery.add(PICTURE)
    data = gallery.find_png(entry.id)
    gallery.close()
    assert data is not None
    assert read(data, "png")["claim_generator_info"][0]["name"] == "Alla Prima"

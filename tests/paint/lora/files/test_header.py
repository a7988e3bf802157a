"""Headers that must be refused: always in a sentence, and with every weight of the base as it was."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.paint.lora.files.bad_files import (
    GOOD,
    HEADER,
    HEADER_BYTES,
    NETWORKS,
    Q_DOWN,
    Q_UP,
    TENSORS,
    assembled,
    refused,
)

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.header import MAX_HEADER_BYTES
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.reader import read_lora


def with_entry(name: str = Q_DOWN, **changes: Any) -> bytes:
    return assembled({**HEADER, name: {**HEADER[name], **changes}})


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(GOOD)
    assert len(read_lora(path, NETWORKS).updates) == 2


BORDERS = sorted(
    {8 + HEADER_BYTES + at for entry in HEADER.values() if "shape" in entry for at in entry["data_offsets"]}
)
CUTS = sorted(
    {
        *range(11),
        *range(8, 8 + HEADER_BYTES, 23),
        *(b + d for b in BORDERS for d in (-1, 0, 1)),
        len(GOOD) - 1,
    }
    - {len(GOOD), len(GOOD) + 1}
)


@pytest.mark.parametrize("cut", CUTS)
def test_cut_short(tmp_path: Path, cut: int) -> None:
    refused(tmp_path / "a.safetensors", GOOD[:cut])


LENGTHS = [
    0, 1, HEADER_BYTES - 8, HEADER_BYTES + 1, HEADER_BYTES + 8, len(GOOD) - 8, len(GOOD), 2**20, MAX_HEADER_BYTES,
]  # fmt: skip
LENGTHS += [MAX_HEADER_BYTES + 1, 100_000_000, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_header_of_another_length(tmp_path: Path, length: int) -> None:
    refused(tmp_path / "a.safetensors", struct.pack("<Q", length) + GOOD[8:])


def test_a_header_larger_than_any_lora_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:  # holes in the file: it takes no room
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(MAX_HEADER_BYTES + 1000)
    with pytest.raises(LoraError, match="header of"):
        read_lora(path, NETWORKS)


HEADERS: dict[str, bytes] = {
    "no JSON": b"{" + b"x" * 40 + b"}",
    "JSON cut short": json.dumps(HEADER).encode()[:-9],
    "a list": b"[1, 2, 3]    ",
    "a number": b"12345678",
    "null": b"null    ",
    "not UTF-8": b'{"\xff\xfe": 1}',
    "nested too deep": b"[" * 100_000,
    "an endless number": b'{"a": ' + b"9" * 5000 + b"}",
    "metadata that are a list": json.dumps({**HEADER, "__metadata__": ["a"]}).encode(),
    "metadata that are numbers": json.dumps({**HEADER, "__metadata__": {"a": 1}}).encode(),
    "a key twice": json.dumps(HEADER).encode()[:-1] + b"," + json.dumps({Q_UP: HEADER[Q_UP]}).encode()[1:],
    "a field twice": json.dumps(HEADER).encode().replace(b'"dtype"', b'"dtype": "F32", "dtype"', 1),
    "no tensor": b'{"__metadata__": {}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is(tmp_path: Path, name: str) -> None:
    refused(tmp_path / "a.safetensors", assembled(HEADERS[name]))


BEGIN, END = HEADER[Q_DOWN]["data_offsets"]
DTYPES: list[object] = [
    "F33", "", "f32", "BOOL", "U8", "I8", "I64", "C64", "F16", "F64", None, 5, ["F32"], {},
]  # fmt: skip
SHAPES_SAID: list[object] = [
    [], [2], [16, 2, 1, 2], [-2, -16], [2.0, 16], ["2", 16], None, 32, [0, 16], [True, 32], [2**70, 1], [1] * 40,
    [2, None], {"0": 2}, [2**40, 2**40],
]  # fmt: skip
OFFSETS: list[object] = [
    [], [BEGIN], [BEGIN, END, END], [END, BEGIN], [-1, END], [BEGIN, END + 4], [BEGIN + 4, END + 4], [BEGIN, 2**62],
    [0.0, 1.0], None, "ab", [BEGIN, BEGIN],
]  # fmt: skip
ENTRIES = [
    *({"dtype": dtype} for dtype in DTYPES),
    *({"shape": shape} for shape in SHAPES_SAID),
    *({"data_offsets": offsets} for offsets in OFFSETS),
    {"extra": 1},
]


@pytest.mark.parametrize("changes", ENTRIES, ids=str)
def test_a_tensor_announced_with(tmp_path: Path, changes: dict[str, Any]) -> None:
    refused(tmp_path / "a.safetensors", with_entry(**changes))


@pytest.mark.parametrize("field", ["dtype", "shape", "data_offsets"])
def test_a_tensor_announced_without(tmp_path: Path, field: str) -> None:
    entry = {key: value for key, value in HEADER[Q_DOWN].items() if key != field}
    refused(tmp_path / "a.safetensors", assembled({**HEADER, Q_DOWN: entry}))


@pytest.mark.parametrize("entry", [None, 1, [], "F32", {}, True], ids=str)
def test_a_tensor_announced_as(tmp_path: Path, entry: object) -> None:
    refused(tmp_path / "a.safetensors", assembled({**HEADER, Q_DOWN: entry}))


def test_tensors_that_share_bytes_or_leave_some(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    refused(
        path, assembled({**HEADER, Q_UP: {**HEADER[Q_UP], "data_offsets": HEADER[Q_DOWN]["data_offsets"]}})
    )
    refused(path, GOOD + bytes(4))
    refused(path, assembled({key: value for key, value in HEADER.items() if key != Q_UP}))


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pt", "a.ckpt"])
def test_a_pickle_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(tmp_path / name, pickle.dumps({"a": Bomb()}, protocol=protocol))
    assert not (tmp_path / "exploded").exists()
    if protocol >= 2 or not name.endswith("safetensors"):
        assert "prima lora convert" in message


def test_torchs_own_pickle_is_told_how_to_be_converted(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.bin")
    for name in ("a.bin", "a.safetensors"):
        refused(tmp_path / name, (tmp_path / "a.bin").read_bytes(), "prima lora convert")


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_reads_like_a_pickles_beginning(tmp_path: Path, length: int) -> None:
    data = assembled(json.dumps(HEADER, separators=(",", ":")).encode().ljust(length))
    assert data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert len(read_lora(path, NETWORKS).updates) == 2
    refused(path, data[:8] + b"}" + data[9:], "is a pickle")
    refused(path, data[: length - 200], "is a pickle")


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0" * 8, b"\xff" * 64, b"<html>" * 20, b"\x89PNG\r\n\x1a\n" * 9, GOOD[8:]]
)
def test_something_else(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "a.safetensors", data)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "closed.safetensors").write_bytes(GOOD)
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    for name in ("pipe", "folder", "missing", "loop", "a\0b", "a" * 300):
        with pytest.raises(LoraError):
            read_lora(tmp_path / f"{name}.safetensors", NETWORKS)


@settings(max_examples=200)
@given(
    at=st.integers(0, len(GOOD) - 1),
    put=st.binary(min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_bytes_changed_anywhere(
    tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(GOOD[:at] + put + GOOD[at + cut :])
    try:
        lora = read_lora(path, NETWORKS)
    except LoraError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both outcomes are right, and no other is)
    else:
        assert isinstance(lora, Lora)
        assert all(update.shape == (16, 16) for update in lora.updates.values())

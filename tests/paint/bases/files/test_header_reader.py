from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.tiny_files import write_names

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header_reader import LARGE_BYTES, read_header


def write_hollow(path: Path, name: str) -> None:
    """Write a large file with a hole in place of its one tensor."""
    header = {name: {"dtype": "U8", "shape": [LARGE_BYTES], "data_offsets": [0, LARGE_BYTES]}}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + LARGE_BYTES)


def test_a_large_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    write_hollow(path, "a")
    first = read_header(path)
    assert list(first.tensors) == ["a"]
    assert read_header(path) is first
    write_hollow(path, "b")
    os.utime(path, ns=(0, 0))
    assert list(read_header(path).tensors) == ["b"]


def test_links_lead_to_their_files_and_pipes_nowhere(tmp_path: Path) -> None:
    write_names(tmp_path / "blob", "a")
    (tmp_path / "link.safetensors").symlink_to("blob")
    assert list(read_header(tmp_path / "link.safetensors").tensors) == ["a"]
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("pipe.safetensors", "absent.safetensors", "."):
        with pytest.raises(WeightsError, match="expected a"):
            read_header(tmp_path / name)

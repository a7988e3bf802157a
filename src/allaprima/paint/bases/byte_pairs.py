"""The merges of byte-pair tokenizers that ship, for files without any (Sennrich et al. 2016, arXiv:1508.07909)."""

from __future__ import annotations

import gzip
from importlib.resources import files


def read_merges(name: str) -> list[tuple[str, str]]:
    """Return the pairs of pieces that become one, the most frequent first, from a packed file in this folder."""
    packed = files("allaprima").joinpath(f"paint/bases/{name}").read_bytes()
    pairs = (line.split(" ") for line in gzip.decompress(packed).decode("utf-8").splitlines())
    return [(first, second) for first, second in pairs]


def byte_letters() -> list[str]:
    """Return a printable letter for each byte, in the order of the vocabularies (GPT-2's `bytes_to_unicode`)."""
    printable = [code for first, last in ("!~", "¡¬", "®ÿ") for code in range(ord(first), ord(last) + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in (*printable, *range(256, 256 + others))]

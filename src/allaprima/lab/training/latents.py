"""Everything the denoiser trains on, computed once: latents, subject masks and the states of captions.

Encoding a picture and its captions costs as much as a training step, and each is used many times. A cache is a
folder of flat arrays: `latents.npy` (N, C, 16, 16) float16, `masks.npy` (N, 16, 16) uint8, `names.npy`
(N, groups, 8, 8) int16 (see :func:`allaprima.lab.training.alignment.token_names`), and for the captions
`states.npy` (T, 384) float16 with `spans.npy` (N, K, 2), the first token and token count of each of a scene's K
captions, see :func:`captions_of`. Pictures are encoded apart from all else, so a new text encoder need not wait
for the pictures again, and captions can be encoded while the autoencoder still trains.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.errors import AssetError
from allaprima.core.progress import track
from allaprima.lab.arrays import open_array
from allaprima.lab.scenes.captions import caption, prefix
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.training.alignment import token_names
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.layouts import copy_layouts
from allaprima.lab.training.parts import in_parts
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.layout.spots import LATTICE
from allaprima.paint.layout.vocabulary import Language

CAPTIONS = 4
"""Captions of one scene: two English, one Chinese, one cut off while still being typed."""

_DIMENSIONS = {"masks": 3, "latents": 4, "names": 4, "states": 2, "empty": 2, "spans": 3}
"""Of each array."""


@dataclass(frozen=True, kw_only=True)
class LatentCache:
    """An opened cache; see the module docstring."""

    latents: NDArray[np.float16]
    masks: NDArray[np.uint8]
    names: NDArray[np.int16]
    states: NDArray[np.float16]
    spans: NDArray[np.int64]
    empty: NDArray[np.float16]
    """States of the empty prompt (L, 384), which guidance leads away from."""

    @classmethod
    def open(cls, folder: Path) -> LatentCache:
        """Map a finished cache into memory.

        Raises:
            AssetError: there is no finished cache in the folder, or it is damaged.
        """
        if absent := [name for name in _DIMENSIONS if not (folder / f"{name}.npy").is_file()]:
            raise AssetError(
                f"{folder} lacks {', '.join(absent)}; expected a folder that `prima train latents` has finished"
            )
        arrays = {
            name: open_array(folder / f"{name}.npy", dimensions, mode="c")
            for name, dimensions in _DIMENSIONS.items()
        }
        counts = {name: len(arrays[name]) for name in ("latents", "masks", "names", "spans")}
        if len(set(counts.values())) > 1:
            raise AssetError(
                f"{folder} has {counts}; expected the same scenes in all; run `prima train latents` anew"
            )
        spans, states, empty = arrays["spans"], arrays["states"], arrays["empty"]
        whole = spans.shape[1:] == (CAPTIONS, 2) and spans.min() >= 0 and spans.sum(-1).max() <= len(states)
        if not whole or empty.shape[1] != states.shape[1]:
            raise AssetError(
                f"{folder} has captions {spans.shape} that go past their states {states.shape} and {empty.shape}; "
                f"expected {CAPTIONS} a scene within them; run `prima train latents` anew"
            )
        return cls(**arrays)

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.latents)

    def text(self, rows: Sequence[tuple[int, int] | None]) -> tuple[Tensor, Tensor]:
        """Return states (B, L, 384) float32 and mask (B, L) of captions (scene, which); None is the empty prompt."""
        found = [self.empty if row is None else self._states(*row) for row in rows]
        length = max(len(states) for states in found)
        padded = np.zeros((len(found), length, found[0].shape[1]), np.float32)
        mask = np.zeros((len(found), length), bool)
        for row, states in enumerate(found):
            padded[row, : len(states)] = states
            mask[row, : len(states)] = True
        return torch.from_numpy(padded), torch.from_numpy(mask)

    def _states(self, scene: int, which: int) -> NDArray[np.float16]:
        start, count = self.spans[scene, which]
        return self.states[start : start + count]


def captions_of(scene: Scene) -> list[str]:
    """Return the captions of a scene: two English, one Chinese, one prefix of another English one."""
    rng = random.Random(f"captions {scene.seed}")
    languages: tuple[Language, ...] = ("en", "en", "zh")
    whole = [caption(scene, rng, language=spoken) for spoken in languages]
    language: Language = "zh" if rng.random() < 0.3 else "en"
    return [*whole, prefix(caption(scene, rng, language=language), rng, language)]


def build_latents(
    folder: Path,
    store: SceneStore,
    autoencoder: Autoencoder,
    *,
    scenes: range | None = None,
    batch: int = 32,
) -> None:
    """Encode the pictures of `scenes` (None: all of the store) into `folder`."""
    scenes = range(len(store.images)) if scenes is None else scenes
    folder.mkdir(parents=True, exist_ok=True)
    latents = np.empty((len(scenes), autoencoder.config.latent_channels, LATTICE, LATTICE), np.float16)
    starts = range(0, len(scenes), batch)
    autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode(), _narrow(autoencoder.device):
        for start in track(starts, total=len(starts), label="encoding pictures"):
            chosen = scenes[start : start + batch]
            pixels = to_pixels(store.images[chosen.start : chosen.stop], autoencoder.device)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            latents[start : start + batch] = autoencoder.encode(pixels).float().cpu().numpy()
    np.save(folder / "latents.npy", latents)


def _narrow(device: torch.device) -> torch.autocast:
    """Return the number format to encode in.

    fp16 has the ten bits of mantissa that latents are kept in. bf16 is three to four times as fast as fp32 on a
    processor that multiplies it, and off by 0.0035 where latents spread by 1.05: far less than captions leave open.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return torch.autocast(device.type, torch.bfloat16, enabled=pick_dtype(device) == torch.bfloat16)


def build_text(
    folder: Path,
    store: SceneStore,
    text: TextEncoder,
    *,
    scenes: range | None = None,
    batch: int = 128,
    processes: int = 1,
) -> None:
    """Encode the captions of `scenes` (None: all of the store) into `folder`, like lengths together.

    What else is known of the scenes, their masks and what tokens show, goes there too.
    """
    scenes = range(len(store.images)) if scenes is None else scenes
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "masks.npy", store.masks[scenes.start : scenes.stop])
    if (store.folder / "kinds.json").is_file():  # older stores have none
        copy_layouts(store.folder, scenes, folder)
    shown = in_parts(partial(_names_of, store), scenes, processes, "naming tokens")
    np.save(folder / "names.npy", np.concatenate(list(shown)))
    told = in_parts(partial(_captions_in, store), scenes, processes, "wording captions")
    prompts = [words for part in told for words in part]
    lengths = [len(encoding.ids) for encoding in text.tokenizer.encode_batch(prompts)]
    order = sorted(range(len(prompts)), key=lengths.__getitem__)
    spans = np.zeros((len(prompts), 2), np.int64)
    parts: list[NDArray[np.float16]] = []
    position = 0
    starts = range(0, len(order), batch)
    for start in track(starts, total=len(starts), label="encoding captions"):
        chosen = order[start : start + batch]
        states, counts = _encode(text, [prompts[index] for index in chosen])
        spans[chosen, 0] = position + np.cumsum(counts) - counts
        spans[chosen, 1] = counts
        position += len(states)
        parts.append(states)
    np.save(folder / "states.npy", np.concatenate(parts))
    np.save(folder / "empty.npy", _encode(text, [""])[0])
    np.save(folder / "spans.npy", spans.reshape(len(scenes), CAPTIONS, 2))


def _names_of(store: SceneStore, scenes: range) -> NDArray[np.int16]:
    return np.stack([token_names(store.scene(index), store.masks[index]) for index in scenes])


def _captions_in(store: SceneStore, scenes: range) -> list[str]:
    return [words for index in scenes for words in captions_of(store.scene(index))]


def _encode(text: TextEncoder, prompts: list[str]) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Return states (tokens of all prompts one after another, D) and how many tokens each prompt has."""
    encoded = text.encode(prompts)
    states: NDArray[np.float16] = encoded.states[encoded.mask].half().cpu().numpy()
    return states, encoded.mask.sum(1).cpu().numpy()

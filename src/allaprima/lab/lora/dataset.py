"""What a LoRA learns from, as the base sees it: latents of the pictures and encoded captions, computed once.

Each picture is encoded several times: whole, fitted to the size that is trained at, then as windows of most of it,
and mirrored if that is asked for. Afterwards neither the encoders nor the pictures are needed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from allaprima.core.image_modes import to_rgb
from allaprima.core.init_image import InitImage
from allaprima.core.picture_opening import open_picture
from allaprima.core.progress import track
from allaprima.lab.distill.data import PromptTexts, to_device
from allaprima.lab.lora.pictures import CaptionedPictures
from allaprima.lab.training.loop import Draw, seed_of
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.pipeline.img2img import to_pixels
from allaprima.paint.pipeline.prompt_cache import join_prompts

LEAST_WINDOW = 0.8
"""Of a picture's sides, the least that a window shows."""
_ENCODED_AT_ONCE = 64
"""Prompts that are encoded together."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Latents and captions, in main memory."""

    latents: Tensor
    """(pictures, views, C, h, w) float32."""
    texts: PromptTexts
    """Every caption once."""
    caption: tuple[int, ...]
    """Of each picture, its number in `texts`."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.latents)

    def batch(self, draw: Draw, *, seed: int, empty_share: float) -> tuple[Tensor, TextStates]:
        """Return latents (B, C, h, w) and captions of one update, on its device.

        Every picture comes once before one comes again. Of the captions `empty_share` are left empty, for guidance.
        """
        first = draw.step * draw.batch_size
        pictures = [self._picture(place, seed) for place in range(first, first + draw.batch_size)][draw.rows]
        chance = draw.uniform(2)
        views = (chance[:, 0] * self.latents.shape[1]).long()
        rows = [
            self.texts.empty(1) if dropped else self.texts.take([self.caption[picture]])
            for picture, dropped in zip(pictures, (chance[:, 1] < empty_share).tolist(), strict=True)
        ]
        # Without the padding of captions that are not in this batch.
        trimmed = [_trimmed(row) for row in rows]
        return self.latents[pictures, views].to(draw.device), to_device(join_prompts(trimmed), draw.device)

    def _picture(self, place: int, seed: int) -> int:
        """Return which picture stands at a place of the endless order."""
        turn, index = divmod(place, len(self))
        generator = torch.Generator().manual_seed(seed_of(seed, (1 << 40) + turn))
        return int(torch.randperm(len(self), generator=generator)[index])


def _trimmed(text: TextStates) -> TextStates:
    length = text.lengths[0]
    return TextStates(states=text.states[:, :length], mask=text.mask[:, :length], pooled=text.pooled)


def encode_pictures(
    base: Base, paths: Sequence[Path], size: tuple[int, int], *, windows: int, flip: bool, seed: int
) -> Tensor:
    """Return the latents (pictures, views, C, h, w) of every picture, float32 in main memory.

    Args:
        base: its autoencoder encodes.
        paths: the pictures.
        size: width and height to fit them to.
        windows: how many further views of each picture show a window of it.
        flip: encode every view mirrored too.
        seed: of the windows.

    Raises:
        PictureError: one is damaged.
    """
    rows = []
    for number, path in track(enumerate(paths), total=len(paths), label="encoding pictures", unit="pictures"):
        views = _views(to_rgb(open_picture(path)), size, windows, seed_of(seed, (1 << 41) + number))
        if flip:
            views += [ImageOps.mirror(view) for view in views]
        rows.append(torch.cat([_encode(base, view, size) for view in views]))
    return torch.stack(rows)


def _views(picture: Image.Image, size: tuple[int, int], windows: int, seed: int) -> list[Image.Image]:
    """Return a picture whole and as windows at random places, at the size's shape."""
    whole = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    places, views = random.Random(seed), [whole]
    for _ in range(windows):
        share = places.uniform(LEAST_WINDOW, 1.0)
        bleed = [places.random() * (1 - share) * side for side in whole.size]
        scale = min(picture.width / size[0], picture.height / size[1])
        corner = [
            (have - wanted * scale) / 2 + offset * scale
            for have, wanted, offset in zip(picture.size, size, bleed, strict=True)
        ]
        box = (*corner, corner[0] + share * size[0] * scale, corner[1] + share * size[1] * scale)
        views.append(picture.resize(size, Image.Resampling.LANCZOS, box=_inside(box, picture.size)))
    return views


def _inside(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box kept within a picture, whatever rounding has done to it."""
    left, upper, right, lower = box
    return max(0.0, left), max(0.0, upper), min(right, size[0]), min(lower, size[1])


def _encode(base: Base, picture: Image.Image, size: tuple[int, int]) -> Tensor:
    width, height = size
    pixels = to_pixels(InitImage(width=width, height=height, rgb=picture.tobytes()))
    with torch.inference_mode():
        latents = base.encode(pixels).float().cpu()
    return latents.clone()  # outside of inference mode: what is learned from may be part of a gradient


def encode_captions(base: Base, captions: Sequence[str]) -> tuple[PromptTexts, tuple[int, ...]]:
    """Return every caption encoded once, in main memory, and the number of each given one among them."""
    words = tuple(dict.fromkeys(captions))
    cpu = torch.device("cpu")
    with torch.inference_mode():
        parts = [
            to_device(base.encode_text(words[start : start + _ENCODED_AT_ONCE]), cpu)
            for start in range(0, len(words), _ENCODED_AT_ONCE)
        ]
        nothing = to_device(base.encode_text([""]), cpu)
    texts = PromptTexts(text=_cloned(join_prompts(parts)), nothing=_cloned(nothing), words=words)
    return texts, tuple(words.index(caption) for caption in captions)


def _cloned(text: TextStates) -> TextStates:
    pooled = None if text.pooled is None else text.pooled.clone()
    return TextStates(states=text.states.clone(), mask=text.mask.clone(), pooled=pooled)


def training_set(
    base: Base, pictures: CaptionedPictures, size: tuple[int, int], *, windows: int, flip: bool, seed: int
) -> TrainingSet:
    """Return what is learned from; PictureError if a picture is damaged."""
    texts, caption = encode_captions(base, pictures.captions)
    latents = encode_pictures(base, pictures.paths, size, windows=windows, flip=flip, seed=seed)
    return TrainingSet(latents=latents, texts=texts, caption=caption)

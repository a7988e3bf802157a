"""Train the restyling's decoder: `prima train restyle runs/restyle --store runs/styled-scenes`.

The renderer draws every scene in four styles, so for three of them, whose outlines agree, the right answer is known
and is asked for pixel by pixel. For any other style the loss is that of Huang & Belongie 2017 (arXiv:1703.06868,
equations 12 and 13): what was painted must look to the encoder like the content given the style's statistics, and
have these statistics itself. Textures are asked for by the covariances of wider layers (Gatys et al. 2015,
arXiv:1508.06576).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.lab.retouch.lite_source import load_lite_encoder
from allaprima.lab.retouch.styled_scenes import STYLES, StyledScenes
from allaprima.lab.training.autoencoder import from_pixels, gradient_error, to_pixels
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.release import averaged, training_facts
from allaprima.paint.retouch.lite_encoder import InvertedBottleneck, LiteEncoder, MapScale
from allaprima.paint.retouch.network_files import load_restyler, stored
from allaprima.paint.retouch.restyler import Restyler, StyleStatistics
from allaprima.paint.retouch.style_decoder import StyleDecoder, adapt, told_of
from allaprima.paint.retouch.style_encoder import SIZES, statistics_of

ALIGNED: Final = (0, 1, 2)
"""The styles of `STYLES` whose outlines agree; the last one's sprites are of another house."""
KNOWN_SHARE: Final = 0.5
"""How many batches are of pictures whose answer is known; they take a third of the time of the others."""
SAME_SHARE: Final = 0.2
"""How many of those are to stay as they are."""
NOTO_SHARE: Final = 0.2
"""How many of the others are to take the last style's statistics rather than another hand's."""


_Pair = tuple[NDArray[np.uint8], NDArray[np.uint8], int | None]


@dataclass(frozen=True, kw_only=True)
class RestyleTask:
    """Repaint scenes in other styles; see the module docstring."""

    scenes: StyledScenes
    encoder: LiteEncoder
    crop: int = 160
    """Side of the parts of pictures that are learned from, in pixels, a multiple of 8."""
    style_weight: float = 1.5
    texture_weight: float = 5.0
    pixel_weight: float = 4.0

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch: of pixels where the answer is known, else of what the encoder sees."""
        known = float(torch.rand((), generator=draw.generator)) < KNOWN_SHARE
        content, style, names = (part.to(draw.device) for part in self.batch(draw, known=known))
        if known:
            with torch.no_grad():
                given, styles = self.encoder(content), list(map(statistics_of, self.encoder(style)))
            output = model(given, styles, names)
            pixels = functional.l1_loss(output, style) + gradient_error(output, style)
            return {"loss": self.pixel_weight * pixels, "pixels": pixels}
        return self._loss_by_looks(model, content, style, names)

    def _loss_by_looks(
        self, model: nn.Module, content: Tensor, style: Tensor, names: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted, textures = self._look(style)
            given = self.encoder(content)
            styles = [statistics_of(one) for one in wanted]
            goal = [adapt(one, two) for one, two in zip(given, styles, strict=True)]
        seen, painted = self._look(model(given, styles, names))
        scales = [scale for scale in model.scales if isinstance(scale, MapScale)]  # type: ignore[union-attr]
        unlike = [_unlike(seen[size], goal[size], scales[size]) for size in (2, 3)]
        texture = [_texture_error(one, two) for one, two in zip(painted, textures, strict=True)]
        values = {
            "content": 0.3 * unlike[0] + unlike[1],
            "style": _style_error(seen, wanted, scales),
            "texture": torch.stack(texture).mean(),
        }
        loss = (
            values["content"] + self.style_weight * values["style"] + self.texture_weight * values["texture"]
        )
        return {"loss": loss, **values}

    def _look(self, pixels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the encoder's maps, and its wide layers before they are narrowed."""
        wide: list[Tensor] = []
        hooks = [
            block.depthwise.register_forward_hook(
                lambda _layer, _given, out: wide.append(functional.relu6(out))
            )
            for block in self.encoder.blocks
            if isinstance(block, InvertedBottleneck)
        ]
        try:
            return self.encoder(pixels), wide
        finally:
            for hook in hooks:
                hook.remove()

    def batch(self, draw: Draw, *, known: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return contents and styles (rows, 3, crop, crop) in [-1, 1], and the styles' names (rows, `STYLES`).

        `known`: the style is the content's answer.
        """
        pairs = []
        for seed in draw.uniform().tolist():
            rng = np.random.default_rng(int(seed * 2**31))
            pairs.append(self._known_pair(rng) if known else self._free_pair(rng))
        contents, styles, numbers = zip(*pairs, strict=True)
        names = torch.stack([_one_of(number) for number in numbers])
        return to_pixels(np.stack(contents)), to_pixels(np.stack(styles)), names

    def _known_pair(self, rng: Generator) -> _Pair:
        """Return a scene in two styles, and the second one's number."""
        row = self.scenes.pictures[int(rng.integers(len(self.scenes.pictures)))]
        first, second = rng.permutation(ALIGNED)[:2]
        if rng.random() < SAME_SHARE:
            first = second = int(rng.integers(len(STYLES)))
        content, style = _cut([row[first, ..., :3], row[second, ..., :3]], self.crop, rng)
        return content, style, int(second)

    def _free_pair(self, rng: Generator) -> _Pair:
        """Return a scene and a picture in another style, and that one's number if it has a name."""
        row = self.scenes.pictures[int(rng.integers(len(self.scenes.pictures)))]
        (content,) = _cut([row[int(rng.integers(len(STYLES))), ..., :3]], self.crop, rng)
        last = rng.random() < NOTO_SHARE
        other = row[-1, ..., :3] if last else self.scenes.hands[int(rng.integers(len(self.scenes.hands)))]
        (style,) = _cut([other], self.crop, rng)
        return content, style, len(STYLES) - 1 if last else None

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write a grid: contents across, styles down."""
        many = len(self.scenes.pictures)
        contents = [self.scenes.pictures[7 * number % many, 0, ..., :3] for number in range(5)]
        named = [
            (self.scenes.pictures[7 * column % many, column, ..., :3], column)
            for column in range(1, len(STYLES))
        ]
        rows = [np.concatenate([np.full_like(contents[0], 255), *contents], axis=1)]
        with torch.no_grad():
            given = self.encoder(to_pixels(np.stack(contents)))
            for style, number in [*named, *((hand, None) for hand in self.scenes.hands[:5])]:
                wanted = [statistics_of(one) for one in self.encoder(to_pixels(style[None]))]
                names = _one_of(number).expand(len(contents), -1)
                painted = from_pixels(model(given, wanted, names).float())
                rows.append(np.concatenate([style, *painted], axis=1))
        Image.fromarray(np.concatenate(rows)).save(folder / f"sample-{step:07d}.jpg")


def _one_of(number: int | None) -> Tensor:
    """Return which of the styles with names is meant, as (`STYLES`,) of nought and one; None is none of them."""
    return torch.tensor([float(number == index) for index in range(len(STYLES))])


def _cut(pictures: Sequence[NDArray[np.uint8]], crop: int, rng: Generator) -> list[NDArray[np.uint8]]:
    """Cut the same part out of all pictures, and bring it to crop x crop pixels."""
    side = pictures[0].shape[0]
    part = int(rng.integers(crop, side + 1))
    left, top = (int(rng.integers(0, side - part + 1)) for _ in range(2))
    cuts = (
        Image.fromarray(np.ascontiguousarray(one[top : top + part, left : left + part])) for one in pictures
    )
    return [np.asarray(cut.resize((crop, crop), Image.Resampling.BICUBIC)) for cut in cuts]


def _unlike(seen: Tensor, wanted: Tensor, scale: MapScale) -> Tensor:
    return functional.smooth_l1_loss(scale(seen.float()), scale(wanted.float()))


def _style_error(seen: Sequence[Tensor], wanted: Sequence[Tensor], scales: Sequence[MapScale]) -> Tensor:
    errors = [
        functional.smooth_l1_loss(
            told_of(scale, statistics_of(one.float())), told_of(scale, statistics_of(other.float()))
        )
        for one, other, scale in zip(seen, wanted, scales, strict=True)
    ]
    return torch.stack(errors).sum()


def _texture_error(painted: Tensor, wanted: Tensor) -> Tensor:
    """Return how unlike the covariances of two maps (B, C, h, w) are, in units of the wanted one's deviations."""
    first, second = (one.float().flatten(2) for one in (painted, wanted))
    deviation = second.std(2, keepdim=True) + 0.3
    first, second = ((one - one.mean(2, keepdim=True)) / deviation for one in (first, second))
    return (
        functional.smooth_l1_loss(first @ first.mT / first.shape[2], second @ second.mT / second.shape[2])
        * 10
    )


@torch.no_grad()
def measure_scales(model: StyleDecoder, task: RestyleTask, *, pictures: int = 256) -> None:
    """Set the decoder's scales from the maps of the first scenes and hands."""
    shown = np.concatenate(
        [task.scenes.pictures[: pictures // 2, 0, ..., :3], task.scenes.hands[: pictures // 2]]
    )
    maps = [task.encoder(to_pixels(shown[start : start + 8])) for start in range(0, len(shown), 8)]
    for scale, parts in zip(model.scales, zip(*maps, strict=True), strict=True):
        assert isinstance(scale, MapScale)
        scale.measure(torch.cat([part.float() for part in parts]))


def new_decoder(task: RestyleTask, start: Path | None = None) -> StyleDecoder:
    """Return the decoder of a weight file, or an untrained one whose scales are measured."""
    if start is not None:
        return load_restyler(start, torch.device("cpu"), torch.float32).decoder.requires_grad_(True).train()
    decoder = StyleDecoder()
    measure_scales(decoder, task)
    return decoder


def release_restyler(run: Path, path: Path, scenes: StyledScenes) -> int:
    """Write the averaged decoder of a training to `path`, with its encoder and the rules of the styles with names.

    Returns:
        The updates behind it.
    """
    restyler = Restyler()
    restyler.encoder.load_state_dict(load_lite_encoder(SIZES).state_dict())
    step = averaged(run, restyler.decoder)
    fit_rules(restyler, scenes)
    tensors, metadata = stored(restyler)
    write_tensors(path, tensors, {**metadata, "trained": training_facts(run, step)})
    return step


@torch.no_grad()
def fit_rules(restyler: Restyler, scenes: StyledScenes, *, most: int = 256) -> None:
    """Set, by least squares over scenes in all styles, how each style's statistics follow from the others'."""
    pictures = scenes.pictures[:most, ..., :3]
    found = [
        [
            told_statistics(restyler.style_of(to_pixels(pictures[index, column][None])))
            for column in range(len(STYLES))
        ]
        for index in range(len(pictures))
    ]
    seen = torch.stack([torch.stack(row) for row in found]).double()  # (scenes, styles, 2, channels)
    for number in range(len(STYLES)):
        others = [column for column in range(len(STYLES)) if column != number]
        given = seen[:, others].flatten(0, 1)
        wanted = seen[:, [number] * len(others)].flatten(0, 1)
        spread = given - given.mean(0)
        slopes = (spread * (wanted - wanted.mean(0))).sum(0) / (spread.square().sum(0) + 1e-6)
        restyler.slopes[number] = slopes
        restyler.offsets[number] = wanted.mean(0) - slopes * given.mean(0)


def told_statistics(style: StyleStatistics) -> Tensor:
    """Return a style's means and deviations as a table (2, channels of all maps)."""
    return torch.stack(
        [
            torch.cat([one.mean.flatten() for one in style]),
            torch.cat([one.deviation.flatten() for one in style]),
        ]
    )

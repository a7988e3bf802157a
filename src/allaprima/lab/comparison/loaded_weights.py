"""What the evaluation of pictures compares, with what, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.bases.vignette.weights import load_autoencoder
from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.painter import Painter
from allaprima.paint.retouch.matte import MatteFinder


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """How much is measured; the published figures are those of the defaults."""

    pictures: int = 500
    """Captions painted, boxes asked for, scenes reconstructed, and prompts that the judge is shown."""
    velocity_scenes: int = 384
    typed_pairs: int = 64
    finder_scenes: int = 100
    """Renders on which the finders of boxes are compared."""


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """One folder of weights, loaded."""

    folder: Path
    painter: Painter
    autoencoder: Autoencoder

    @classmethod
    def load(cls, folder: Path | None) -> LoadedWeights:
        """Load the weights in a folder; None for those that ship."""
        folder, device = weights_folder() if folder is None else folder, pick_device(None)
        painter = Painter.load(folder=folder)
        autoencoder = load_autoencoder(folder / "autoencoder.safetensors", device, pick_dtype(device))
        return cls(folder=folder, painter=painter, autoencoder=autoencoder)


@dataclass(frozen=True, kw_only=True)
class PictureTools:
    """What looks at the pictures."""

    judge: Judge
    accuracy: dict[str, float]
    """How often the judge is right on rendered scenes, by attribute."""
    matte: MatteFinder
    features: ImageFeatures | None
    sprites: SpriteCache

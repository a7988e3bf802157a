"""Networks of the user's that find subjects, as ONNX files: U2-Net, IS-Net, BiRefNet and others of their kind.

They run in onnxruntime, which is an optional package. The size a file was exported for is read from it; how its
pictures are scaled is known by the network's name, which the file's name must hold, as those of rembg do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from allaprima.core.errors import WeightsError
from allaprima.paint.retouch.matting import Array, refine
from allaprima.paint.retouch.picture_arrays import to_array

MOST_SIDE: Final = 4096


class _Recipe(NamedTuple):
    """How a network wants its pictures: (x - mean) / deviation for x in 0..1, and the side where the file is open."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    side: int


_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RECIPES: Final = {
    "u2net": _Recipe(*_IMAGENET, 320),
    "silueta": _Recipe(*_IMAGENET, 320),
    "birefnet": _Recipe(*_IMAGENET, 1024),
    "isnet": _Recipe((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 1024),
    "rmbg": _Recipe((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 1024),
    "modnet": _Recipe((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 512),
}
"""By what a file's name holds. Sources: the networks' own demos, and rembg's sessions."""


@dataclass(frozen=True, kw_only=True)
class OnnxMatte:
    """A network in an ONNX file."""

    session: Any
    recipe: _Recipe
    side: int
    """Pixels of the square it looks at."""
    path: Path

    @classmethod
    def load(cls, path: Path) -> OnnxMatte:
        """Open a file.

        Raises:
            WeightsError: onnxruntime is missing, the name tells no network, or the file is none that finds subjects.
        """
        recipe = next(
            (one for name, one in RECIPES.items() if name in path.name.lower().replace("-", "")), None
        )
        if recipe is None:
            raise WeightsError(
                f"{path.name} does not say which network it is; expected a name with one of {', '.join(RECIPES)}"
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise WeightsError(
                f'{path.name} needs the package onnxruntime; pip install "allaprima[retouch]"'
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                path, options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:
            raise WeightsError(f"cannot read {path}: {_first_line(error)}; expected an ONNX file") from error
        shapes = [one.shape for one in session.get_inputs()]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3:
            raise WeightsError(
                f"{path} takes inputs of shape {shapes}; expected one colour picture (1, 3, S, S)"
            )
        side = shapes[0][2] if isinstance(shapes[0][2], int) else recipe.side
        if shapes[0][2] != shapes[0][3] or not 32 <= side <= MOST_SIDE:
            raise WeightsError(
                f"{path} takes pictures of shape {shapes[0]}; expected squares of 32 to {MOST_SIDE}"
            )
        return cls(session=session, recipe=recipe, side=side, path=path)

    def find(self, image: Image.Image) -> Array:
        """Return the matte (H, W), 0 to 1, of an RGB picture of any size.

        Raises:
            WeightsError: what the network gives is no matte.
        """
        colors = to_array(image.resize((self.side, self.side), Image.Resampling.LANCZOS))
        scaled = (
            ((colors - self.recipe.mean) / self.recipe.deviation).transpose(2, 0, 1)[None].astype(np.float32)
        )
        try:
            found = self.session.run(None, {self.session.get_inputs()[0].name: scaled})
        except Exception as error:
            raise WeightsError(f"{self.path} failed: {_first_line(error)}") from error
        # BiRefNet's last output is its finest; U2-Net's and IS-Net's first one is.
        matte = np.asarray(found[-1 if "birefnet" in self.path.name.lower() else 0], dtype=np.float32)
        if matte.size != self.side**2 or not np.isfinite(matte).all():
            raise WeightsError(
                f"{self.path} gives an output of shape {matte.shape}; expected a matte (1, 1, S, S)"
            )
        return refine(_to_unit(matte.reshape(self.side, self.side)), colors, to_array(image))


def _to_unit(matte: Array) -> Array:
    """Return a matte in 0..1: of logits their sigmoid, else what is there stretched, as these networks' demos do."""
    if matte.min() < -0.01 or matte.max() > 1.01:
        matte = 1 / (1 + np.exp(-matte.clip(-30, 30)))
    low, high = float(matte.min()), float(matte.max())
    return (matte - low) / (high - low) if high - low > 0.1 else matte


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

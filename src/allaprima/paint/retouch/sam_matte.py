"""Segment Anything (Kirillov et al. 2023, arXiv:2304.02643), weights of the user's: the subject that one points at.

Read with transformers from a folder in its layout, safetensors only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.retouch.matting import Array, refine
from allaprima.paint.retouch.picture_arrays import to_array

MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)
GUIDE_SIDE: Final = 512
"""Pixels of the longer side at which its masks, which are coarse, are fitted to the picture's edges."""


@dataclass(frozen=True, kw_only=True)
class SamMatte:
    """A SAM and what is pointed at; without any it takes what is in the middle."""

    model: Any
    """A `transformers.SamModel`."""
    points: Sequence[tuple[float, float]] = ()
    """On the subject, in pixels (x, y) of the picture."""
    box: tuple[float, float, float, float] | None = None
    """Around the subject: left, top, right, bottom in pixels."""

    @torch.inference_mode()
    def find(self, image: Image.Image) -> Array:
        """Return the matte (H, W), 0 to 1, of an RGB picture of any size.

        Raises:
            RequestError: a point or the box is not in the picture.
        """
        points = [*self.points] or ([] if self.box else [(image.width / 2, image.height / 2)])
        self._check(points, image)
        side = self.model.config.vision_config.image_size
        share = side / max(image.size)
        inside = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        asked: dict[str, torch.Tensor] = {}
        if points:
            asked["input_points"] = torch.tensor(
                [[[[x * share, y * share] for x, y in points]]], device=self.model.device
            )
            asked["input_labels"] = torch.ones(1, 1, len(points), dtype=torch.long, device=self.model.device)
        if self.box:
            asked["input_boxes"] = torch.tensor(
                [[[edge * share for edge in self.box]]], device=self.model.device
            )
        out = self.model(
            pixel_values=self._pixels(image, inside, side), **asked, multimask_output=self.box is None
        )
        best = int(out.iou_scores[0, 0].argmax())
        logits = out.pred_masks[0, 0, best][None, None].float()
        whole = functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
        matte = whole[:, :, : inside[1], : inside[0]]
        share = min(1.0, GUIDE_SIDE / max(image.size))
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        guide = image.resize(size, Image.Resampling.BOX)
        matte = functional.interpolate(
            matte, (guide.height, guide.width), mode="bilinear", align_corners=False
        )
        return refine(matte[0, 0].sigmoid().cpu().numpy(), to_array(guide), to_array(image))

    def _pixels(self, image: Image.Image, inside: tuple[int, int], side: int) -> torch.Tensor:
        colors = (to_array(image.resize(inside, Image.Resampling.BILINEAR)) - MEAN) / DEVIATION
        pixels = torch.from_numpy(colors.astype(np.float32)).permute(2, 0, 1)[None]
        padded = functional.pad(pixels, (0, side - inside[0], 0, side - inside[1]))
        return padded.to(self.model.device, self.model.dtype)

    def _check(self, points: Sequence[tuple[float, float]], image: Image.Image) -> None:
        size = f"{image.width}x{image.height}"
        for x, y in points:
            if not (0 <= x < image.width and 0 <= y < image.height):
                raise RequestError(
                    f"got the point {x:g},{y:g} in a picture of {size}; expected one inside it"
                )
        if self.box:
            left, top, right, bottom = self.box
            if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
                edges = ",".join(f"{edge:g}" for edge in self.box)
                raise RequestError(
                    f"got the box {edges} in a picture of {size}; expected left,top,right,bottom inside it"
                )


def is_sam(folder: Path) -> bool:
    """Return whether a folder holds a SAM in transformers' layout."""
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return bool(config.get("model_type") == "sam")
    except (OSError, ValueError, AttributeError):
        return False


def load_sam(folder: Path, device: torch.device) -> Any:
    """Load the SAM in a folder.

    Raises:
        WeightsError: a file is missing or damaged, or the weights are a pickle.
    """
    from transformers import SamModel

    try:
        model: Any = SamModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(
            f"cannot read the SAM in {folder}: {reason}; expected config.json and model.safetensors"
        ) from error
    return model.to(device).eval()

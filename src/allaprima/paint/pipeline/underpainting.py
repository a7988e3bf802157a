"""What a batch is painted over: a picture, a part of a picture, or nothing.

under = Underpainting(guard, init_image, noise, schedule, width=256, height=256)
for step in sample_steps(model, under.latents, under.schedule, prediction, seeds, under.settle): ...
pixels = under.paste(guard.finish(step.latents))
"""

from __future__ import annotations

import torch
from torch import Tensor

from allaprima.core.init_image import InitImage
from allaprima.paint.contract.base import Base
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.pipeline.image_cache import ImageCache
from allaprima.paint.pipeline.img2img import check_init_size, start_from_image, to_pixels
from allaprima.paint.pipeline.inpaint import keep_latents, mask_channels, paste, to_mask_pixels
from allaprima.paint.sampling.process import process_of


class Underpainting:
    """Where the sampler begins, what it may not change, and what is seen of the picture below.

    Args:
        base: encodes the picture.
        init_image: the picture and its mask; None for painting on nothing.
        noise: (B, C, h, w) standard normal, a row per seed.
        schedule: the whole way from noise.
        width: pixels that are painted.
        height: pixels that are painted.
        images: pictures that were encoded before.
        sketch: begin a first look with a base's sketch of the picture, where that is quicker.

    Raises:
        RequestError: the init image has another size.
    """

    def __init__(
        self,
        base: Base,
        init_image: InitImage | None,
        noise: Tensor,
        schedule: Schedule,
        *,
        width: int,
        height: int,
        images: ImageCache | None = None,
        sketch: bool = False,
    ) -> None:
        self._noise = noise
        self._process = process_of(schedule.kind, schedule.prediction or base.prediction)
        self._pixels = torch.full((1, 3, height, width), 0.5)
        self._mask: Tensor | None = None
        self._is_window = False
        self.is_sketch = False
        """Whether it begins with a sketch of the picture."""
        self._clean: Tensor | None = None
        self._painted: Tensor | None = None
        self.schedule, self.latents = schedule, noise
        """The levels to visit, fewer than were given for a strength below 1, and what to begin with."""
        self.channels: Tensor | None = None
        """(1, K, h, w), what a base that reads a mask is shown beside its latents; None for all others."""
        if init_image is not None:
            check_init_size(init_image, width, height)
            self._begin(base, init_image, ImageCache() if images is None else images, sketch)
        if base.reads_mask:
            self.channels = mask_channels(base, self._pixels, self._mask).to(noise.device)

    def _begin(self, base: Base, init_image: InitImage, images: ImageCache, sketch: bool) -> None:
        self._is_window = init_image.surround is not None
        self._pixels, self._mask = to_pixels(init_image), to_mask_pixels(init_image)
        strength, keeps = init_image.strength, self._mask is not None and not base.reads_mask
        if strength == 1.0 and not keeps:
            return
        key = (init_image.width, init_image.rgb)
        nearly = images.sketch(base, self._pixels, key) if sketch else None
        self.is_sketch = nearly is not None
        clean = images.encode(base, self._pixels, key) if nearly is None else nearly
        clean = clean.to(self._noise.device)
        if strength < 1.0:
            share = 1.0 if init_image.full_steps else strength  # such a schedule begins where it is to
            self.schedule, self.latents = start_from_image(
                clean, self._noise, self.schedule, base.prediction, share
            )
        if keeps and self._mask is not None:
            self._clean, self._painted = clean, base.latent_mask(self._mask).to(self._noise.device)

    def settle(self, latents: Tensor, sigma: float) -> Tensor:
        """Return latents (B, C, h, w) at the level `sigma` with what the mask keeps put back."""
        if self._clean is None or self._painted is None:
            return latents
        return keep_latents(latents, self._clean, self._noise, self._painted, self._process, sigma)

    def paste(self, painted: Tensor) -> Tensor:
        """Return the pixels (B, 3, H, W) in [0, 1] that were painted, with the picture's own where it is kept.

        A window of a larger picture is returned as it was painted: it is put into that at its size.
        """
        if self._mask is None or self._is_window:
            return painted
        return paste(painted, self._pixels, self._mask)

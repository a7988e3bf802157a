"""What each time of a schedule does to the denoiser, computed once: a third of its weights see nothing else.

Schedules visit the same few times for every picture, and on a processor reading those weights again takes longer
than the arithmetic. What is kept holds only while the layers are as they were loaded; a LoRA on one of them, or a
cast to another number format, and the layers are asked again.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from allaprima.paint.bases.vignette.mmdit import Moment, Transformer

SIDE = "side"
"""Where a layer keeps a LoRA's side path; the bases know nothing else of LoRAs."""

MOST = 128
"""Times that are kept, some 100 KB each; a picture of 50 steps visits 50."""


class Moments:
    """A transformer's moments.

    Args:
        transformer: as loaded.
    """

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._layers = transformer.time_layers()
        self._weights: list[Tensor] = []
        """Held while moments are, so that no other weights can come to lie at the same addresses."""
        self._marks = self._read_marks()
        self._kept: OrderedDict[float, Moment] = OrderedDict()

    def at(self, t: Tensor) -> Tensor | Moment:
        """Return what stands for the times t (B,): one moment, or `t` itself.

        There are moments while painting on a processor, where all pictures have the same time.
        """
        times = t.tolist() if t.device.type == "cpu" and torch.is_inference_mode_enabled() else []
        if not times or times.count(times[0]) < len(times) or not self._as_loaded():
            return t
        if not self._weights:
            self._weights = [parameter.data for layer in self._layers for parameter in layer.parameters()]
        if times[0] not in self._kept:
            self._kept[times[0]] = self._transformer.moment(t[:1])
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(times[0])
        return self._kept[times[0]]

    def _as_loaded(self) -> bool:
        return self._read_marks() == self._marks and all(map(_is_plain, self._layers))

    def _read_marks(self) -> list[tuple[int, torch.dtype, int]]:
        """Return where each weight lies, its format and how often it was written to."""
        return [
            (parameter.data_ptr(), parameter.dtype, 0 if parameter.is_inference() else parameter._version)
            for layer in self._layers
            for parameter in layer.parameters()
        ]


def _is_plain(layer: nn.Module) -> bool:
    return vars(layer).get(SIDE) is None and not layer._forward_hooks and not layer._forward_pre_hooks

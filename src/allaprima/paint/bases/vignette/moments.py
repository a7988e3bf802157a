"""What each time of a schedule does to the denoiser, computed once: a third of its weights see nothing else.

Schedules visit the same few times for every picture, and on a processor reading those weights again takes longer
than the arithmetic. What is kept holds only while the weights are the same; while a layer wears a LoRA beside
them, whose weight may change from one frame to the next, each moment is computed anew.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from allaprima.paint.bases.vignette.as_loaded import AsLoaded
from allaprima.paint.bases.vignette.mmdit import Moment, Transformer

MOST = 128
"""Times that are kept, some 100 KB each; a picture of 50 steps visits 50."""


class Moments:
    """A transformer's moments.

    Args:
        transformer: as loaded.
    """

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._layers = AsLoaded(transformer.time_layers())
        self._kept: OrderedDict[float, Moment] = OrderedDict()

    def at(self, t: Tensor) -> Tensor | Moment:
        """Return what stands for the times t (B,): one moment, or `t` itself.

        There are moments while painting on a processor, where all pictures have the same time and no layer has hooks.
        """
        times = t.tolist() if t.device.type == "cpu" and torch.is_inference_mode_enabled() else []
        if not times or times.count(times[0]) < len(times) or self._layers.have_hooks:
            return t
        if not self._layers.are_plain:
            return self._transformer.moment(t[:1])
        if not self._layers:
            self._layers = AsLoaded(self._transformer.time_layers())
            self._kept.clear()
        self._layers.hold()
        if times[0] not in self._kept:
            self._kept[times[0]] = self._transformer.moment(t[:1])
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(times[0])
        return self._kept[times[0]]

"""The effect of each time on the denoiser, computed once: a third of its weights depend on the time alone.

Schedules visit the same few times for every picture, and reading those weights again takes a processor longer than
the arithmetic. A moment is cached only while the weights stay the same. With a LoRA beside them, whose weight may
change from frame to frame, each moment is computed anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from allaprima.core.lru import LruCache
from allaprima.paint.bases.vignette.mmdit import Moment, Transformer
from allaprima.paint.bases.vignette.weight_marks import Marks, WeightMarks, have_hooks

MOST = 128
"""How many times are cached for one state of the weights, some 100 KB each; a picture of 50 steps visits 50."""
STATES = 3
"""For how many states of the weights moments are cached: without LoRAs, and with either of two merged ones."""


class Moments:
    """A transformer's moments."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._layers = transformer.time_layers()
        self._states = LruCache[Marks, tuple[WeightMarks, LruCache[float, Moment]]](max_count=STATES)

    def at(self, t: Tensor) -> Tensor | Moment:
        """Return the moment of the times t (B,), or `t` itself.

        Moments are used for painting on a CPU, if all pictures have the same time and no layer has hooks.
        """
        times = t.tolist() if t.device.type == "cpu" and torch.is_inference_mode_enabled() else []
        if not times or times.count(times[0]) < len(times) or have_hooks(self._layers):
            return t
        weights = WeightMarks(self._layers)
        if not weights.are_plain:
            return self._transformer.moment(t[:1])
        _, moments = self._states.get_or_make(weights.marks, lambda: _no_moments(weights))
        return moments.get_or_make(times[0], lambda: self._transformer.moment(t[:1]))


def _no_moments(weights: WeightMarks) -> tuple[WeightMarks, LruCache[float, Moment]]:
    """Return an empty cache for these weights, which are held so that no others can take their addresses."""
    weights.hold()
    return weights, LruCache(max_count=MOST)

"""The effect of each time on the denoiser, computed once: a third of its weights depend on the time alone.

Schedules visit the same few times for every picture, and reading those weights again takes a processor longer than
the arithmetic. A moment is cached only while the weights stay the same. With a LoRA beside them, whose weight may
change from frame to frame, each moment is computed anew.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from allaprima.paint.bases.vignette.mmdit import Moment, Transformer
from allaprima.paint.bases.vignette.weight_marks import Marks, WeightMarks, have_hooks

MOST = 128
"""How many times are cached for one state of the weights, some 100 KB each; a picture of 50 steps visits 50."""
STATES = 3
"""For how many states of the weights moments are cached: without LoRAs, and with either of two merged ones."""


class Moments:
    """A transformer's moments.

    Args:
        transformer: as loaded.
    """

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._layers = transformer.time_layers()
        self._states: OrderedDict[Marks, tuple[WeightMarks, OrderedDict[float, Moment]]] = OrderedDict()

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
        moments = self._moments_of(weights)
        if times[0] not in moments:
            moments[times[0]] = self._transformer.moment(t[:1])
            if len(moments) > MOST:
                moments.popitem(last=False)
        moments.move_to_end(times[0])
        return moments[times[0]]

    def _moments_of(self, weights: WeightMarks) -> OrderedDict[float, Moment]:
        """Return the moments of these weights, which are held so that no others can take their addresses."""
        if weights.marks not in self._states:
            weights.hold()
            self._states[weights.marks] = weights, OrderedDict()
            if len(self._states) > STATES:
                self._states.popitem(last=False)
        self._states.move_to_end(weights.marks)
        return self._states[weights.marks][1]

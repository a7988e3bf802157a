"""What each time of a schedule does to the denoiser, computed once: a third of its weights see nothing else.

Schedules visit the same few times for every picture, and on a processor reading those weights again takes longer
than the arithmetic. What is kept holds only while the weights are the same; while a layer wears a LoRA beside
them, whose weight may change from one frame to the next, each moment is computed anew.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from allaprima.paint.bases.vignette.mmdit import Moment, Transformer
from allaprima.paint.bases.vignette.weight_marks import Marks, WeightMarks, have_hooks

MOST = 128
"""Times that are kept for one state of the weights, some 100 KB each; a picture of 50 steps visits 50."""
STATES = 3
"""States of the weights whose moments are kept: without LoRAs, and with either of two that are merged by turns."""


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
        """Return what stands for the times t (B,): one moment, or `t` itself.

        There are moments while painting on a processor, where all pictures have the same time and no layer has hooks.
        """
        times = t.tolist() if t.device.type == "cpu" and torch.is_inference_mode_enabled() else []
        if not times or times.count(times[0]) < len(times) or have_hooks(self._layers):
            return t
        now = WeightMarks(self._layers)
        if not now.are_plain:
            return self._transformer.moment(t[:1])
        kept = self._kept(now)
        if times[0] not in kept:
            kept[times[0]] = self._transformer.moment(t[:1])
            if len(kept) > MOST:
                kept.popitem(last=False)
        kept.move_to_end(times[0])
        return kept[times[0]]

    def _kept(self, now: WeightMarks) -> OrderedDict[float, Moment]:
        """The moments of these weights, which are held: no others can come to lie at their addresses."""
        if now.marks not in self._states:
            now.hold()
            self._states[now.marks] = now, OrderedDict()
            if len(self._states) > STATES:
                self._states.popitem(last=False)
        self._states.move_to_end(now.marks)
        return self._states[now.marks][1]

"""A layer whose weights a processor reads in half the bytes.

For a prompt's few tokens a product takes as long as its weights take to arrive. torch's kernels for quantized models
(FBGEMM) read them in fp16 and compute in fp32, which takes 0.7 of the text encoder's time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.bases.vignette.weight_marks import WeightMarks, is_plain

_FBGEMM: Any = torch.ops.quantized


class HalfLinear(nn.Linear):
    """As its class, but where weights (out, in) round to fp16 while painting on a processor in fp32.

    Rounding moves a weight by at most 1/2048 of itself. Training, and a layer that wears a LoRA, are plain fp32.
    """

    _packed: tuple[WeightMarks, Any] | None = None
    """The weights as they were when they were packed, and what came of it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        if not self._is_painting(x):
            return functional.linear(x, self.weight, self.bias)
        result: Tensor = _FBGEMM.linear_dynamic_fp16(x, self._pack())
        return result

    def _is_painting(self, x: Tensor) -> bool:
        return (
            torch.is_inference_mode_enabled()
            and not torch.compiler.is_compiling()
            and is_plain(self)
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and torch.backends.quantized.engine in ("x86", "fbgemm")
        )

    def _pack(self) -> Any:
        if self._packed is None or not self._packed[0]:
            weights = WeightMarks([self])
            weights.hold()
            packed = _FBGEMM.linear_prepack_fp16(self.weight.detach(), self.bias.detach())
            self._packed = weights, packed
        return self._packed[1]

"""A linear layer that reads its weights in fp16 on a CPU, and computes in fp32.

For the few tokens of a prompt, a product takes as long as reading its weights. torch's kernels for quantized models
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
    """A linear layer whose weights (out, in) are rounded to fp16 while it paints on a CPU in fp32.

    Rounding changes a weight by at most 1/2048 of itself. In training, and with a LoRA on it, the layer is plain
    fp32.
    """

    _packed: tuple[WeightMarks, Any] | None = None
    """The marks of the weights when they were packed, and the packed weights."""

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

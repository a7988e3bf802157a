"""How many kernels oneDNN keeps, which is most of what a studio's memory grows by.

torch's convolutions and products in bf16 are oneDNN's. It keeps a kernel, with its buffers, for each shape that it
has met, 1,024 by default. A prompt's length times a set of LoRAs is a new shape, so a studio grew by 80 MiB over its
first 1,500 requests. A frame needs some sixty kernels, and one that was let go is made again within a millisecond.
"""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KEPT: Final = 128


def keep_few_primitives() -> None:
    """Let oneDNN keep `KEPT` kernels in this process; heard before the first product only, a user's choice stays."""
    os.environ.setdefault(VARIABLE, str(KEPT))

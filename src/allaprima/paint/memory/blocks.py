"""The blocks that a transformer consists of, which weights come and go by."""

from __future__ import annotations

from torch import nn


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the blocks of a transformer of diffusers, which stand in lists of its own; none of any other network.

    diffusers names their classes, since it compiles them one by one (`_repeated_blocks`).
    """
    names = getattr(network, "_repeated_blocks", None) or ()
    lists = [child for child in network.children() if isinstance(child, nn.ModuleList)]
    return [block for blocks in lists for block in blocks if type(block).__name__ in names]

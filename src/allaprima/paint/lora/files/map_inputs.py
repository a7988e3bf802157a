"""LoRAs of a base from before it read a layout's map, on the base that does.

The map's channels are further inputs of the first layer, behind those that were there. A LoRA that does not know
them has zeros for them, so it changes what it always changed. diffusers widens LoRAs in the same way for pipelines
that are shown a control picture (`_maybe_expand_lora_state_dict`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

_ENTRY, _EXIT = "img_in", "proj_out"


def inputs_without_map(path: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many inputs the layer at `path` has besides a map's; 0 for a layer that no map enters.

    Args:
        path: of the layer.
        shapes: of the weights of its network, by path. Without a map, a network takes in as much as it gives out.
    """
    if path != _ENTRY or _EXIT not in shapes:
        return 0
    outputs, inputs = shapes[_EXIT][0], shapes[_ENTRY][1]
    return outputs if outputs < inputs else 0


def widen_inputs(down: Tensor, inputs: int) -> Tensor:
    """Return `down` (r, in) with zeros for further inputs, (r, inputs)."""
    return functional.pad(down, (0, inputs - down.shape[1]))

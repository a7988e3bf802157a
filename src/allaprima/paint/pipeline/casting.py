"""Networks that compute in another number format for the length of a block.

    with computing_in([autoencoder], torch.float32):
        pixels = base.decode(latents)

Afterwards every tensor is the very one of before: nothing is rounded back, so nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from allaprima.paint.lora.runtime.side_path import SIDE, Scale, SidePath, point

NARROW = frozenset({torch.float16, torch.bfloat16})


@contextmanager
def computing_in(networks: Iterable[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Cast all half-precision tensors of `networks` to `dtype` inside the block, what they wear included.

    It takes memory for the cast tensors beside the others. Networks that an offloading library keeps elsewhere
    are as they were.
    """
    with ExitStack() as undo:
        # Outside the caller's inference mode, so that a cast weight is like the weight it stands for.
        with torch.inference_mode(mode=False), torch.no_grad():
            for network in networks:
                for module in network.modules():
                    _cast(module, dtype, undo)
        yield


def dtypes_of(networks: Iterable[nn.Module]) -> set[torch.dtype]:
    """Return the floating formats of the networks' weights."""
    return {
        parameter.dtype
        for network in networks
        for parameter in network.parameters()
        if parameter.is_floating_point()
    }


def _cast(module: nn.Module, dtype: torch.dtype, undo: ExitStack) -> None:
    for parameter in module._parameters.values():
        if parameter is not None and _to_cast(parameter, dtype):
            undo.callback(_set_data, parameter, parameter.data)
            parameter.data = parameter.data.to(dtype)
    for name, buffer in list(module._buffers.items()):
        if buffer is not None and _to_cast(buffer, dtype):
            undo.callback(module._buffers.__setitem__, name, buffer)
            module._buffers[name] = buffer.to(dtype)
    side: SidePath | None = vars(module).get(SIDE)
    if side is not None and isinstance(module, nn.Linear | nn.Conv2d):
        undo.callback(point, module, side)
        point(module, _cast_side(side, dtype))


def _cast_side(side: SidePath, dtype: torch.dtype) -> SidePath:
    scale = side.scale
    return SidePath(
        down=None if side.down is None else side.down.to(dtype),
        up=None if side.up is None else side.up.to(dtype),
        scale=None if scale is None else Scale(scale.vector.to(dtype), scale.plain),
        dense=tuple((delta.to(dtype), weight) for delta, weight in side.dense),
    )


def _to_cast(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.dtype in NARROW and tensor.dtype != dtype and not tensor.is_meta


def _set_data(parameter: nn.Parameter, data: Tensor) -> None:
    with torch.inference_mode(mode=False):
        parameter.data = data

"""A decoder's middle block, computed once for the whole picture, so that tiles know what is beyond them.

The middle block works on the smallest maps and holds the only attention over the whole picture. It takes little
memory; the layers after it, which take most, see a neighbourhood only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

Window = tuple[slice, slice]
"""Rows and columns of latents."""


class _MidBlockDoneError(Exception):
    """Ends a decode after the middle block."""


@contextmanager
def whole_mid_block(
    mid_block: nn.Module, decode: Callable[[Tensor], object], latents: Tensor
) -> Iterator[Callable[[Window], None]]:
    """Let `mid_block` return windows of its output for all `latents` (1, C, h, w) inside the with-block.

    Yields:
        A function that sets which window of the latents is decoded next.
    """
    whole = _output(mid_block, decode, latents)
    ratio = whole.shape[-1] // latents.shape[-1]
    window: list[Window] = [(slice(None), slice(None))]

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        del args, kwargs
        rows, columns = (slice(part.start * ratio, part.stop * ratio) for part in window[0])
        return whole[..., rows, columns]

    def enter_tile(chosen: Window) -> None:
        window[0] = chosen

    before = vars(mid_block).get("forward")
    vars(mid_block)["forward"] = forward
    try:
        yield enter_tile
    finally:
        if before is None:
            del vars(mid_block)["forward"]
        else:
            vars(mid_block)["forward"] = before


def _output(mid_block: nn.Module, decode: Callable[[Tensor], object], latents: Tensor) -> Tensor:
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: Any, out: Tensor) -> None:
        del module, args
        outputs.append(out)
        raise _MidBlockDoneError

    handle = mid_block.register_forward_hook(keep)
    try:
        with suppress(_MidBlockDoneError):
            decode(latents)
    finally:
        handle.remove()
    return outputs[0]

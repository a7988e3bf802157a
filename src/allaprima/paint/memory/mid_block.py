"""The middle of a decoder once for the whole picture, so that tiles see what is beyond them.

A decoder's middle block works on the smallest maps and is the one place where everything looks at everything. It
takes little memory; the layers after it, which take the most, look at their neighbourhood only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

Window = tuple[slice, slice]
"""Rows and columns of latents."""


class _EnoughSeenError(Exception):
    """The middle has answered; nothing after it is wanted."""


@contextmanager
def whole_mid_block(
    middle: nn.Module, decode: Callable[[Tensor], object], latents: Tensor
) -> Iterator[Callable[[Window], None]]:
    """Let `middle` answer, inside the block, with a window of what it made of all `latents` (1, C, h, w).

    Yields:
        a function that says which window of the latents is decoded next.
    """
    whole = _answer(middle, decode, latents)
    ratio = whole.shape[-1] // latents.shape[-1]
    window: list[Window] = [(slice(None), slice(None))]

    def answer(*args: Any, **kwargs: Any) -> Tensor:
        del args, kwargs
        rows, columns = (slice(part.start * ratio, part.stop * ratio) for part in window[0])
        return whole[..., rows, columns]

    def look_at(chosen: Window) -> None:
        window[0] = chosen

    before = vars(middle).get("forward")
    vars(middle)["forward"] = answer
    try:
        yield look_at
    finally:
        if before is None:
            del vars(middle)["forward"]
        else:
            vars(middle)["forward"] = before


def _answer(middle: nn.Module, decode: Callable[[Tensor], object], latents: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def keep(module: nn.Module, args: Any, out: Tensor) -> None:
        del module, args
        seen.append(out)
        raise _EnoughSeenError

    handle = middle.register_forward_hook(keep)
    try:
        with suppress(_EnoughSeenError):
            decode(latents)
    finally:
        handle.remove()
    return seen[0]

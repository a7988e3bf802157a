"""How much memory a computation needs, found by running it on torch's meta device.

    with Rehearsal() as rehearsal:
        base.decode(torch.empty(1, 16, 64, 64, device="meta"))
    rehearsal.peak_bytes

There every operation returns tensors of the right shape without numbers. The sum of those that are alive after each
operation gives the peak, for any network and size, in milliseconds. The network's weights are not part of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_CONVOLUTIONS = frozenset({torch.ops.aten.convolution.default, torch.ops.aten._convolution.default})
_ATTENTION = torch.nn.functional.scaled_dot_product_attention


class Rehearsal(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's modes have no types
    """Counts the bytes that meta tensors would take inside the with-block.

    Args:
        networks: networks whose weights are not counted.
        scratch: whether to count the CPU convolutions' working memory.
    """

    def __init__(self, networks: Iterable[nn.Module] = (), *, scratch: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes = 0
        """The most bytes that were alive at once."""
        self._live = 0
        self._scratch = scratch
        self._attention = _FusedAttention()
        weights = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
        self._seen = {weight.untyped_storage()._cdata for weight in weights}

    def __enter__(self) -> Self:
        """Start to count."""
        self._attention.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *reason: Any) -> None:
        """Stop counting."""
        super().__exit__(*reason)  # type: ignore[no-untyped-call]
        self._attention.__exit__(*reason)  # type: ignore[no-untyped-call]

    def hold(self, tensor: Tensor) -> Tensor:
        """Count a tensor that was made before the block, and return it."""
        self._count(tensor)
        return tensor

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation and count its results."""
        del types
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.is_meta:
                self._count(leaf)
        scratch = _convolution_scratch(args, out) if self._scratch and func in _CONVOLUTIONS else 0
        self.peak_bytes = max(self.peak_bytes, self._live + scratch)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self._live += size
        self.peak_bytes = max(self.peak_bytes, self._live)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._live -= size


class _FusedAttention(TorchFunctionMode):
    """Attention as devices compute it: without the matrix of all pairs of tokens."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is _ATTENTION:
            named = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
            query, value = named["query"], named["value"]
            return query.new_empty((*query.shape[:-1], value.shape[-1]))
        return func(*args, **kwargs)


def _convolution_scratch(args: tuple[Any, ...], out: Tensor) -> int:
    """Return the bytes of a convolution's reordered input and output."""
    x, weight = args[0], args[1]
    return 0 if max(weight.shape[2:]) == 1 else int(x.nbytes + out.nbytes)

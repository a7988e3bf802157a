"""Large blocks of memory that are quick to write to for the first time.

A fresh page costs its first writer an interruption. At the usual 4 KiB, 93 MiB (an SDXL LoRA in float32) took 66 ms
where writing them again takes 8; in huge pages 14, unless the system has to make room for those, which may take
longer than all the small ones. So what cannot wait gets huge pages only if enough of them lie free, and a block is
kept ready where there was idle time.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

HUGE = 2 * 2**20
"""Bytes of a huge page."""

_FREE_LISTS = Path("/proc/buddyinfo")
"""Where Linux says how many blocks of 1, 2, 4, ... pages lie free in each zone of memory."""


class Blocks:
    """Blocks of one device's memory, the next of them written to beforehand."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        """The device whose memory it is."""
        self._largest = 0
        self._spare: Tensor | None = None

    @property
    def num_bytes(self) -> int:
        """What the block that is kept ready takes."""
        return 0 if self._spare is None else self._spare.nbytes

    def take(self, num_bytes: int) -> Tensor:
        """Return `num_bytes` of uninitialised memory as uint8, the block that is ready if it is large enough."""
        self._largest = max(self._largest, num_bytes)
        if self._spare is None or len(self._spare) < num_bytes:
            if self.device.type == "cpu" and num_bytes >= HUGE and free_huge_bytes() > 2 * num_bytes:
                return empty_block(num_bytes, self.device)
            return torch.empty(num_bytes, dtype=torch.uint8, device=self.device)
        block, self._spare = self._spare[:num_bytes], None
        return block

    def make_ready(self) -> None:
        """Have a block ready for whatever is as large as the largest so far; for idle time."""
        if self.device.type == "cpu" and self.num_bytes < self._largest:
            self._spare = empty_block(self._largest, self.device).zero_()


def empty_block(num_bytes: int, device: torch.device) -> Tensor:
    """Return `num_bytes` of uninitialised memory as uint8, in huge pages where the system has them."""
    advice, flags = (getattr(mmap, name, None) for name in ("MADV_HUGEPAGE", "MAP_ANONYMOUS"))
    if device.type != "cpu" or num_bytes < HUGE or advice is None or flags is None:
        return torch.empty(num_bytes, dtype=torch.uint8, device=device)
    # One huge page more than is filled, since they begin at multiples of their size. Private: memory that could
    # be shared follows other rules.
    block = mmap.mmap(-1, num_bytes + HUGE, flags=mmap.MAP_PRIVATE | flags)
    with suppress(OSError):  # a system without huge pages: the memory is good all the same
        block.madvise(advice)
    tensor = torch.frombuffer(block, dtype=torch.uint8)
    begin = -tensor.data_ptr() % HUGE
    return tensor[begin : begin + num_bytes]


def free_huge_bytes() -> int:
    """Return how much memory could be had in huge pages at once; 0 where the system does not say."""
    least = (HUGE // mmap.PAGESIZE).bit_length() - 1
    try:
        zones = [
            line.partition("zone")[2].split()[1:] for line in _FREE_LISTS.read_text("ascii").splitlines()
        ]
        blocks = sum(
            int(count) << order for zone in zones for order, count in enumerate(zone) if order >= least
        )
    except (OSError, ValueError):
        return 0
    return blocks * mmap.PAGESIZE


def empty_tensor_like(tensor: Tensor) -> Tensor:
    """Return uninitialised memory of the shape, strides, dtype and device of `tensor`."""
    if not tensor.is_contiguous():
        return torch.empty_like(tensor)
    return empty_block(tensor.nbytes, tensor.device).view(tensor.dtype).view(tensor.shape)

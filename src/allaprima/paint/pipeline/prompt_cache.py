"""Encoded prompts, one at a time and kept: what a live session asks for again and again.

    cache = PromptCache(base, max_bytes=2**26)
    cat, = cache.encode(["a cat"])

Padding is taken off, so that a prompt is the same whatever it was encoded beside, and each has a digest: two
prompts of one digest are one prompt to the model.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from allaprima.core.picture import Rescues
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.pipeline.overflow_guard import OverflowGuard

READ_ALONE = frozenset({"sdxl", "qwen-image"})
"""Families that take each prompt through their encoders by itself, so that its last bits never tell of others."""

KEPT_BYTES = 64 * 2**20
"""A hundred prompts of SDXL, a dozen of the longest of Qwen-Image."""


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt:
    """One prompt as the model sees it."""

    text: TextStates
    """One row, up to its last token."""

    @cached_property
    def digest(self) -> bytes:
        """Equal for equal `text`, bit for bit; computed when it is first asked for."""
        return _digest(self.text)

    @property
    def num_bytes(self) -> int:
        """What the states take in memory."""
        pooled = 0 if self.text.pooled is None else self.text.pooled.nbytes
        return int(self.text.states.nbytes + self.text.mask.nbytes + pooled)


class PromptCache:
    """The prompts of one base, the least recently asked for dropped first.

    Args:
        base: what encodes them.
        max_bytes: how much is kept; the prompts of one call stay available to it in any case.
    """

    def __init__(self, base: Base, max_bytes: int) -> None:
        self._base = OverflowGuard(base)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Hashable, str], EncodedPrompt] = OrderedDict()
        self.num_bytes = 0
        """What is kept."""
        self.hits = 0
        """Prompts asked for and found."""
        self.misses = 0
        """Prompts encoded."""

    @property
    def rescues(self) -> Rescues:
        """What had to be encoded again, in a wider number format."""
        return self._base.rescues

    @torch.inference_mode()
    def read(self, prompts: Sequence[str], state: Hashable, base: OverflowGuard) -> TextStates:
        """Return `prompts` as `base.encode_text` does, which is asked for those only that are not kept.

        A base of `READ_ALONE` gives the same bits, whatever is kept. What overflows is read in the company that it
        was asked in, counted, and not kept.

        Args:
            prompts: texts; they may repeat.
            state: as for `encode`.
            base: the cache's base under the caller's guard.
        """
        before = base.rescues
        encoded = self.encode(prompts, state, base)
        if base.rescues == before:
            return join_prompts([one.text for one in encoded])
        for prompt in set(prompts):
            self._drop((state, prompt))
        base.rescues = before
        return base.encode_text(prompts)

    def encode(
        self, prompts: Sequence[str], state: Hashable = None, base: Base | None = None
    ) -> list[EncodedPrompt]:
        """Return `prompts` encoded, in order; all that are not kept are encoded in one call.

        Args:
            prompts: texts; they may repeat.
            state: what the text encoder is besides its weights, such as the LoRAs on it.
            base: what encodes those that are not kept: the cache's base, perhaps under a guard of the caller's.
        """
        missing = [text for text in dict.fromkeys(prompts) if (state, text) not in self._kept]
        self.misses += len(missing)
        self.hits += len(prompts) - len(missing)
        found = {text: self._kept[state, text] for text in prompts if (state, text) in self._kept}
        if missing:
            states = (base or self._base).encode_text(missing)
            found |= {text: _take(states, row) for row, text in enumerate(missing)}
        for text, encoded in found.items():
            self._keep((state, text), encoded)
        return [found[text] for text in prompts]

    def _keep(self, key: tuple[Hashable, str], encoded: EncodedPrompt) -> None:
        if key not in self._kept:
            self._kept[key] = encoded
            self.num_bytes += encoded.num_bytes
        self._kept.move_to_end(key)
        while self.num_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[Hashable, str]) -> None:
        if (dropped := self._kept.pop(key, None)) is not None:
            self.num_bytes -= dropped.num_bytes


def join_prompts(texts: Sequence[TextStates]) -> TextStates:
    """Return the prompts of `texts` under each other, padded to the longest."""
    if len(texts) == 1:
        return texts[0]
    longest = max(text.mask.shape[1] for text in texts)
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return TextStates(
        states=torch.cat([_pad(text.states, longest) for text in texts]),
        mask=torch.cat([_pad(text.mask, longest) for text in texts]),
        pooled=torch.cat(pooled) if pooled else None,
    )


def _take(text: TextStates, row: int) -> EncodedPrompt:
    length = text.lengths[row]
    # Cloned: a view would keep the whole batch in memory.
    alone = TextStates(
        states=text.states[row : row + 1, :length].clone(),
        mask=text.mask[row : row + 1, :length].clone(),
        pooled=None if text.pooled is None else text.pooled[row : row + 1].clone(),
    )
    return EncodedPrompt(text=alone)


def _digest(text: TextStates) -> bytes:
    digest = hashlib.blake2b(repr(tuple(text.states.shape)).encode(), digest_size=16)
    for part in (text.states, text.mask, text.pooled):
        if part is not None:
            digest.update(part.contiguous().view(torch.uint8).cpu().numpy().tobytes())
    return digest.digest()


def _pad(tensor: torch.Tensor, longest: int) -> torch.Tensor:
    """Return (B, L, ...) with L grown to `longest` by zeros."""
    missing = longest - tensor.shape[1]
    if not missing:
        return tensor
    return torch.cat([tensor, tensor.new_zeros((tensor.shape[0], missing, *tensor.shape[2:]))], dim=1)

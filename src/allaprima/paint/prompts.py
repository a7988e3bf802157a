"""Encoded prompts, one at a time and kept: what a live session asks for again and again.

    cache = PromptCache(base, max_bytes=2**26)
    cat, = cache.encode(["a cat"])

Padding is taken off, so that a prompt is the same whatever it was encoded beside, and each carries a digest: two
prompts of one digest are one prompt to the model.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from allaprima.core.picture import Rescues
from allaprima.paint.bases.base import Base, TextStates
from allaprima.paint.guard import Guarded


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One prompt as the model sees it."""

    text: TextStates
    """One row, up to its last token."""
    digest: bytes
    """Equal for equal `text`, bit for bit."""

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
        self._base = Guarded(base)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Hashable, str], Encoded] = OrderedDict()
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
    def encode(self, prompts: Sequence[str], state: Hashable = None) -> list[Encoded]:
        """Return `prompts` encoded, in order; all that are not kept are encoded in one call.

        Args:
            prompts: texts; they may repeat.
            state: what the text encoder is besides its weights, such as the LoRAs on it.
        """
        missing = [text for text in dict.fromkeys(prompts) if (state, text) not in self._kept]
        self.misses += len(missing)
        self.hits += len(prompts) - len(missing)
        found = {text: self._kept[state, text] for text in prompts if (state, text) in self._kept}
        if missing:
            states = self._base.encode_text(missing)
            found |= {text: _take(states, row) for row, text in enumerate(missing)}
        for text, encoded in found.items():
            self._keep((state, text), encoded)
        return [found[text] for text in prompts]

    def _keep(self, key: tuple[Hashable, str], encoded: Encoded) -> None:
        if key not in self._kept:
            self._kept[key] = encoded
            self.num_bytes += encoded.num_bytes
        self._kept.move_to_end(key)
        while self.num_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
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


def _take(text: TextStates, row: int) -> Encoded:
    length = text.lengths[row]
    # Cloned: a view would keep the whole batch in memory.
    alone = TextStates(
        states=text.states[row : row + 1, :length].clone(),
        mask=text.mask[row : row + 1, :length].clone(),
        pooled=None if text.pooled is None else text.pooled[row : row + 1].clone(),
    )
    return Encoded(text=alone, digest=_digest(alone))


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

"""Encoded prompts, one at a time and kept: one cache for all that is painted on a base.

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

CACHE_BYTES = 64 * 2**20
"""A hundred prompts of SDXL, a dozen of the longest of Qwen-Image."""
MAX_PROMPTS = 128
"""More are not kept even of a small base: what somebody typed ten seconds ago is not asked for again."""


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt:
    """One prompt as the model sees it."""

    text: TextStates
    """One row, up to its last token."""
    company: tuple[str, ...]
    """The prompts that were encoded in one call with it, itself among them."""

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
        max_bytes: how much is kept, of at most `MAX_PROMPTS` prompts; those of one call stay available to it in any
            case.
    """

    def __init__(self, base: Base, max_bytes: int) -> None:
        self._base = OverflowGuard(base)
        self._max_bytes = max_bytes
        self._cached: OrderedDict[tuple[Hashable, str], EncodedPrompt] = OrderedDict()
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
    def read(self, prompts: Sequence[str], state: Hashable, guard: OverflowGuard) -> list[TextStates]:
        """Return `prompts`, a row each, with the same bits whatever was encoded before.

        A base that encodes several prompts in one pass may round a prompt in the company of others otherwise than
        alone, so what was encoded in other company is encoded anew. What overflows is counted and not kept.

        Args:
            prompts: the texts that one picture depends on, all different.
            state: as for `encode`.
            guard: the cache's base under the caller's guard.
        """
        if not self._base.traits.encodes_separately and not self._holds_together(prompts, state):
            self._drop(prompts, state)
        before = guard.rescues
        encoded = self.encode(prompts, state, guard)
        if guard.rescues == before:
            return [prompt.text for prompt in encoded]
        self._drop(prompts, state)
        guard.rescues = before
        text = guard.encode_text(prompts)
        return [text.rows([row]) for row in range(len(prompts))]

    def encode(
        self, prompts: Sequence[str], state: Hashable = None, base: Base | None = None
    ) -> list[EncodedPrompt]:
        """Return `prompts` encoded, in order; all that are not kept are encoded in one call.

        Args:
            prompts: texts; they may repeat.
            state: what the text encoder is besides its weights, such as the LoRAs on it.
            base: what encodes those that are not kept: the cache's base, perhaps under a guard of the caller's.
        """
        missing = tuple(text for text in dict.fromkeys(prompts) if (state, text) not in self._cached)
        self.misses += len(missing)
        self.hits += len(prompts) - len(missing)
        encoded = {text: self._cached[state, text] for text in prompts if text not in missing}
        if missing:
            states = (base or self._base).encode_text(missing)
            encoded |= {text: _take(states, row, missing) for row, text in enumerate(missing)}
        for text, prompt in encoded.items():
            self._keep((state, text), prompt)
        return [encoded[text] for text in prompts]

    def _holds_together(self, prompts: Sequence[str], state: Hashable) -> bool:
        """Return whether exactly these prompts were encoded in one call and are all kept."""
        cached = [self._cached.get((state, prompt)) for prompt in prompts]
        return all(prompt is not None and prompt.company == tuple(prompts) for prompt in cached)

    def _keep(self, key: tuple[Hashable, str], encoded: EncodedPrompt) -> None:
        if key not in self._cached:
            self._cached[key] = encoded
            self.num_bytes += encoded.num_bytes
        self._cached.move_to_end(key)
        while self._is_over():
            _, oldest = self._cached.popitem(last=False)
            self.num_bytes -= oldest.num_bytes

    def _is_over(self) -> bool:
        return self.num_bytes > self._max_bytes or len(self._cached) > MAX_PROMPTS

    def _drop(self, prompts: Sequence[str], state: Hashable) -> None:
        for prompt in prompts:
            if (dropped := self._cached.pop((state, prompt), None)) is not None:
                self.num_bytes -= dropped.num_bytes


def join_prompts(texts: Sequence[TextStates]) -> TextStates:
    """Return the prompts of `texts` under each other, padded to the longest, each with its map if any has one."""
    if len(texts) == 1:
        return texts[0]
    longest = max(text.mask.shape[1] for text in texts)
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return TextStates(
        states=torch.cat([_pad(text.states, longest) for text in texts]),
        mask=torch.cat([_pad(text.mask, longest) for text in texts]),
        pooled=torch.cat(pooled) if pooled else None,
        layout=_join_layouts(texts),
    )


def _join_layouts(texts: Sequence[TextStates]) -> torch.Tensor | None:
    """Return the maps of `texts` under each other, zeros where one is left open; None where all are."""
    known = next((text.layout for text in texts if text.layout is not None), None)
    if known is None:
        return None
    shape = known.shape[1:]
    return torch.cat(
        [known.new_zeros(len(text), *shape) if text.layout is None else text.layout for text in texts]
    )


def _take(text: TextStates, row: int, company: tuple[str, ...]) -> EncodedPrompt:
    length = text.lengths[row]
    # Cloned: a view would keep the whole batch in memory.
    alone = TextStates(
        states=text.states[row : row + 1, :length].clone(),
        mask=text.mask[row : row + 1, :length].clone(),
        pooled=None if text.pooled is None else text.pooled[row : row + 1].clone(),
    )
    return EncodedPrompt(text=alone, company=company)


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

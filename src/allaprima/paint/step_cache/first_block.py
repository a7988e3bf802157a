"""First-block caching by diffusers' hooks, with a memory of its own for each picture.

    cache = FirstBlockCache(StepCacheSetting(threshold=0.1))
    cache.attach(base)                   # before its weights are streamed
    memory = cache.begin(steps=30)       # for one batch
    with memory.of_row(0):
        base.predict(latents, t, text)

The first block is always computed. Where what it adds has changed by no more than the threshold since the last step
that was computed in full, the other blocks are skipped, and what they added then is added again (ParaAttention's
First Block Cache, after TeaCache, arXiv:2411.19108).

diffusers keeps what blocks added by a name that lasts as long as the network. Here batches of many people share a
network and end at any time, so what is kept belongs to the batch, and goes with it. Outside `of_row` nothing is kept
and everything is computed in full.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.hooks.first_block_cache import FBCSharedBlockState
from diffusers.hooks.hooks import StateManager
from torch import Tensor, nn

from allaprima.paint.device.offload_hooks import find_hook_registry, has_offload_hook
from allaprima.paint.step_cache.setting import MIN_STEPS, StepCacheSetting

if TYPE_CHECKING:
    from allaprima.core.request import GenerationRequest
    from allaprima.paint.contract.base import Base

_FIRST_ARGUMENT = {"hidden_states": 0, "encoder_hidden_states": 1}

PassStates = dict[Hashable, FBCSharedBlockState]
"""What was computed last in passes alike: by the shapes and number formats of what the network is given."""


class FirstBlockCache:
    """The hooks on one base's denoiser."""

    def __init__(self, setting: StepCacheSetting) -> None:
        self.setting = setting
        self._pass = _Pass()
        self._first_block: nn.Module | None = None

    def attach(self, base: Base) -> None:
        """Hang the hooks on the blocks that the traits of `base` name, below any that will stream its weights."""
        (network,) = base.stages()["predict"]
        name = base.traits.skippable_blocks
        assert name is not None, "StepCacheSetting.check comes first"
        blocks = getattr(network, name)
        config = FirstBlockCacheConfig(threshold=self.setting.threshold)
        # A holder: diffusers would take FLUX.2's double-stream blocks too, whose answers are of another form.
        apply_first_block_cache(nn.ModuleDict({name: blocks}), config)
        for block in blocks:
            registry = find_hook_registry(block)
            assert registry is not None
            for hook in registry.hooks.values():
                hook.state_manager = self._pass
                # What a block reads is its first argument; diffusers looks for its name, which is another in Z-Image.
                hook._metadata = replace(hook._metadata, _cached_parameter_indices=_FIRST_ARGUMENT)
        network.register_forward_pre_hook(self._pass.open, with_kwargs=True)
        network.register_forward_hook(self._pass.close, always_call=True)
        self._first_block = blocks[0]

    @property
    def is_streamed(self) -> bool:
        """Whether weights come to the blocks and go, each block waiting for the one before; none is skipped then."""
        assert self._first_block is not None, "attach comes first"
        return any(map(has_offload_hook, self._first_block.modules()))

    def begin(self, steps: int) -> StepMemory | None:
        """Return the empty memory of a batch of so many steps; None where nothing is to be skipped."""
        return None if self.is_streamed or steps < MIN_STEPS else StepMemory(self)

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return why the picture of `request` is painted without the cache, as a sentence; nothing if it is not."""
        if self.is_streamed:
            return ("the step cache is not used, for the weights are streamed to the device block by block",)
        return self.setting.remarks(request)

    @contextmanager
    def keeping(self, kept: PassStates) -> Iterator[None]:
        """Read and write `kept` in the with-block."""
        self._pass.kept = None if self.is_streamed else kept  # they may have begun to be since the last step
        try:
            yield
        finally:
            self._pass.kept = None


class StepMemory:
    """What the pictures of one batch may reuse, each its own: what is skipped must not depend on the others."""

    def __init__(self, cache: FirstBlockCache) -> None:
        self._cache = cache
        self._rows: dict[int, PassStates] = {}

    @contextmanager
    def of_row(self, row: int) -> Iterator[None]:
        """Let the predictions of the with-block reuse what was computed for the picture `row`."""
        with self._cache.keeping(self._rows.setdefault(row, {})):
            yield


class _Pass(StateManager):  # type: ignore[misc]  # diffusers has no types
    """Hands the blocks the state of the pass under way."""

    def __init__(self) -> None:
        super().__init__(FBCSharedBlockState)
        self.kept: PassStates | None = None
        self._state = FBCSharedBlockState()

    def open(self, network: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Begin a pass; one of other shapes, or again in a wider number format, reuses nothing of the last."""
        if self.kept is not None:
            key = tuple((value.shape, value.dtype) for value in _tensors((*args, *kwargs.values())))
            self._state = self.kept.setdefault(key, FBCSharedBlockState())

    def close(self, *_: object) -> None:
        """End the pass; nothing of it stays here."""
        self._state = FBCSharedBlockState()

    def get_state(self) -> FBCSharedBlockState:
        """Return the state of the pass under way."""
        return self._state


def _tensors(given: Iterable[object]) -> Iterator[Tensor]:
    """Yield the tensors of what a network is given; Z-Image is given lists of them."""
    for value in given:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)

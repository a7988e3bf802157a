"""Changes of biases, and of the weights of norms: vectors that a module computes with for the length of a call.

    vectors = Vectors(base.modules())
    vectors.show([({"unet.conv_norm_out.weight": delta}, 0.8)])
    vectors.show([])                       # as before, bit for bit

Nothing of the base is written to. A hook points a parameter at `pristine + sum of weight * delta` before the module
computes and back afterwards, so weights may be moved, cast or read again meanwhile. Where an offloading library
brings a module's weights within its call, that cannot be, and `check` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from allaprima.core.errors import LoraError
from allaprima.paint.device.offload_hooks import has_offload_hook

VectorChanges = Mapping[str, Tensor]
"""By parameter (network, dot, path, dot, "bias" or "weight"), what is added to it, shaped like it."""


@dataclass(eq=False)
class _Changed:
    """One module's vectors with what is added to them."""

    deltas: dict[str, Tensor]
    """By attribute, the sum of changes, float32."""
    pristine: dict[str, Tensor] = field(default_factory=dict)
    """By attribute, what is to come back after the call that is under way."""
    ready: dict[str, tuple[tuple[object, ...], Tensor]] = field(default_factory=dict)
    """By attribute, the changed vector, and the mark of the pristine one that it was made from."""

    def enter(self, module: nn.Module, _: Any) -> None:
        """Point `module` at its changed vectors."""
        with torch.inference_mode(mode=False), torch.no_grad():
            for name, delta in self.deltas.items():
                parameter = module._parameters[name]
                assert parameter is not None
                self.pristine[name] = parameter.data
                parameter.data = self._changed(name, parameter.data, delta)

    def leave(self, module: nn.Module, *_: Any) -> None:
        """Point `module` at its own vectors again."""
        with torch.inference_mode(mode=False):
            for name in list(self.pristine):
                parameter = module._parameters[name]
                assert parameter is not None
                parameter.data = self.pristine.pop(name)

    def _changed(self, name: str, pristine: Tensor, delta: Tensor) -> Tensor:
        mark = (pristine.data_ptr(), pristine.dtype, pristine.device)
        known = self.ready.get(name)
        if known is None or known[0] != mark:
            known = mark, (pristine.float() + delta.to(pristine.device)).to(pristine.dtype)
            self.ready[name] = known
        return known[1]


class Vectors:
    """The vectors of some networks.

    Args:
        modules: the networks by name.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._known = dict(_find_vectors(modules))
        self._handles: list[RemovableHandle] = []

    def check(self, name: str, changes: VectorChanges) -> None:
        """Refuse `changes` of the LoRA `name` that cannot be made.

        Raises:
            LoraError: a parameter is not there, has another shape, or comes and goes within a call.
        """
        for key, delta in changes.items():
            module, attribute = self._known.get(key, (None, ""))
            if module is None:
                raise LoraError(f"{name} changes {key[:120]}, which the loaded base does not have")
            parameter = module._parameters[attribute]
            assert parameter is not None
            if parameter.shape != delta.shape:
                raise LoraError(
                    f"{name} changes {key} by {tuple(delta.shape)}; expected {tuple(parameter.shape)}, its shape"
                )
            if has_offload_hook(module):
                raise LoraError(
                    f"{name} changes {key}, a bias or a norm, which is moved to the device for single calls under "
                    "this memory limit; expected a LoRA without, or more memory"
                )

    def show(self, loras: Sequence[tuple[VectorChanges, float]]) -> None:
        """Compute with `loras`, pairs (changes, weight), which have been checked, and with no others."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        changed: dict[nn.Module, _Changed] = {}
        for changes, weight in loras:
            for key, delta in changes.items():
                module, attribute = self._known[key]
                deltas = changed.setdefault(module, _Changed(deltas={})).deltas
                part = weight * delta.float()
                deltas[attribute] = deltas[attribute] + part if attribute in deltas else part
        for module, state in changed.items():
            self._handles += [
                module.register_forward_pre_hook(state.enter),
                # Also after an error, or the changed vector would stay.
                module.register_forward_hook(state.leave, always_call=True),
            ]


def _find_vectors(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    for name, network in modules.items():
        inner: nn.Module = getattr(network, "_orig_mod", network)
        for path, module in inner.named_modules():
            for attribute in ("weight", "bias"):
                parameter = module._parameters.get(attribute)
                if isinstance(parameter, torch.nn.Parameter) and parameter.ndim == 1:
                    yield f"{name}.{path}.{attribute}", (module, attribute)

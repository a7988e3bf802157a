"""The layers of a loaded base that a LoRA may change, under every name that files have for them.

The names come from the networks themselves, never from guessing where an underscore was a dot: each path is
written in all the ways that `layer_names` knows, and a file's name is looked up among those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from allaprima.paint.lora.files.dialects import DENOISERS, KeyName
from allaprima.paint.lora.files.families import Architecture, look
from allaprima.paint.lora.files.layer_names import fused_paths, ldm_names, names_of
from allaprima.paint.lora.files.map_inputs import inputs_without_map
from allaprima.paint.lora.files.original_names import original_names, swapped_layers


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of one network."""

    key: str
    """The network's name, a dot, and the module's path."""
    shape: tuple[int, ...]
    """The weight's shape: (out, in), (out, in, kh, kw), or (width,) of a norm."""
    bias: int = 0
    """How many numbers its bias has; 0 for none."""
    parts: tuple[Layer, ...] = ()
    """The layers whose rows stand in this one, which only other programs have; () for a layer of the network."""
    is_swapped: bool = False
    """Whether the halves of its rows stand the other way round."""
    without_map: int = 0
    """How many of its inputs are not a layout's map; 0 for a layer that no map enters."""


class Layers:
    """Every layer of a base that a LoRA may change, by all its names."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.networks = tuple(networks)
        self.by_key: dict[str, Layer] = {}
        self.fused: dict[str, Layer] = {}
        """By what its key would be, a layer that other programs make of several."""
        self._named: dict[str, dict[str, Layer | None]] = {}
        for network, module in networks.items():
            named = self._named.setdefault(network, {})
            found = {path: part for path, part in module.named_modules() if shape_of(part)}
            paths = {path: shape for path, part in found.items() if (shape := shape_of(part))}
            others = ldm_names(paths) | original_names((*paths, *fused_paths(paths)))
            for path, shape in paths.items():
                layer = Layer(
                    key=f"{network}.{path}", shape=shape, bias=_bias_of(found[path]),
                    without_map=inputs_without_map(path, paths),
                )  # fmt: skip
                self.by_key[layer.key] = layer
                for name in dict.fromkeys((*names_of(path), *names_of(others.get(path, path)))):
                    # Two layers of one name leave it without meaning; a layer's own path always has one.
                    named[name] = layer if named.get(name, layer) is layer else None
            self._name_fused(network, paths, others)
            self._name_swapped(network, paths)
            named |= {path: self.by_key[f"{network}.{path}"] for path in paths}
        self._architecture = look(
            (key, layer.shape[1]) for key, layer in self.by_key.items() if len(layer.shape) > 1
        )

    def _name_fused(
        self, network: str, paths: Mapping[str, tuple[int, ...]], others: Mapping[str, str]
    ) -> None:
        named = self._named[network]
        for fused, members in fused_paths(paths).items():
            parts = tuple(self.by_key[f"{network}.{path}"] for path in members)
            inner = {part.shape[1:] for part in parts}
            if len(inner) != 1 or len(parts[0].shape) != 2:
                continue
            bias = sum(part.bias for part in parts) if all(part.bias for part in parts) else 0
            shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
            layer = Layer(key=f"{network}.{fused}", shape=shape, bias=bias, parts=parts)
            self.fused[layer.key] = layer
            last = fused.rpartition(".")[2]
            elsewhere = others.get(members[0], members[0]).rpartition(".")[0]
            theirs = others.get(fused, f"{elsewhere}.{last}")
            for name in dict.fromkeys((*names_of(fused), *names_of(theirs))):
                named.setdefault(name, layer)

    def _name_swapped(self, network: str, paths: Mapping[str, tuple[int, ...]]) -> None:
        for name, path in swapped_layers(paths).items():
            own = self.by_key[f"{network}.{path}"]
            layer = Layer(
                key=f"{network}.{name}", shape=own.shape, bias=own.bias, parts=(own,), is_swapped=True
            )
            self.fused[layer.key] = layer
            self._named[network] |= dict.fromkeys(names_of(name), layer)

    def get(self, key: str) -> Layer:
        """Return the layer of that key, be it one of the network or one that other programs make of several."""
        return self.by_key.get(key) or self.fused[key]

    def find(self, name: KeyName) -> Layer | None:
        """Return the layer that a file means by `name`, or None if there is none, or no telling which.

        A denoiser counts before the text encoders, whose layers are called alike.
        """
        hits = {
            network: layer
            for network in name.networks
            if (layer := self._named.get(network, {}).get(name.layer)) is not None
        }
        for network in DENOISERS:
            if network in hits:
                return hits[network]
        return next(iter(hits.values())) if len(hits) == 1 else None

    def architecture(self, family: str | None = None) -> Architecture:
        """Return which base the layers look like, one that is said to be of `family`."""
        return replace(self._architecture, declared=family)


def shape_of(module: nn.Module) -> tuple[int, ...] | None:
    """Return the shape of the weight of a linear layer, a convolution or a norm; None for any other module.

    Told from the module's numbers, for the weight of an offloaded or quantised layer has another shape.
    """
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    if isinstance(module, nn.Conv2d):
        return module.out_channels, module.in_channels // module.groups, *module.kernel_size
    weight = module._parameters.get("weight")
    return tuple(weight.shape) if weight is not None and weight.ndim == 1 else None


def _bias_of(module: nn.Module) -> int:
    bias = module._parameters.get("bias")
    return 0 if bias is None else bias.numel()

"""The layers of a loaded base that a LoRA may change, under every name that files have for them.

The names come from the networks themselves, never from guessing where an underscore was a dot: each path is
written in all the ways that `layer_names` knows, and a file's name is looked up among those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from allaprima.paint.lora.files.dialects import DENOISERS, KeyName
from allaprima.paint.lora.files.families import Architecture, look
from allaprima.paint.lora.files.layer_names import ldm_names, names_of
from allaprima.paint.lora.files.original_names import Rows, fused_layers, original_names


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of one network."""

    key: str
    """The network's name, a dot, and the module's path."""
    shape: tuple[int, ...]
    """The weight's shape, (out, in) or (out, in, kh, kw)."""
    parts: Mapping[str, Rows] = field(default_factory=dict, hash=False)
    """For a layer that is several here: the keys of those, with the rows that are theirs."""


class Layers:
    """Every layer of a base that a LoRA may change, by all its names."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.networks = tuple(networks)
        self.by_key: dict[str, Layer] = {}
        self._named: dict[str, dict[str, Layer | None]] = {}
        for network, module in networks.items():
            named = self._named.setdefault(network, {})
            paths = {path: shape for path, layer in module.named_modules() if (shape := shape_of(layer))}
            others = ldm_names(paths) | original_names(paths)
            for path, shape in paths.items():
                layer = Layer(key=f"{network}.{path}", shape=shape)
                self.by_key[layer.key] = layer
                for name in dict.fromkeys((*names_of(path), *names_of(others.get(path, path)))):
                    # Two layers of one name leave it without meaning; a layer's own path always has one.
                    named[name] = layer if named.get(name, layer) is layer else None
            named |= {path: self.by_key[f"{network}.{path}"] for path in paths}
        self._architecture = look((key, layer.shape[1]) for key, layer in self.by_key.items())
        for network in networks:
            self._add_fused(network)

    def _add_fused(self, network: str) -> None:
        """Add the layers of the authors' network that are several here."""
        beginning = f"{network}."
        own = {
            key.removeprefix(beginning): layer.shape
            for key, layer in self.by_key.items()
            if key.startswith(beginning)
        }
        for fused in fused_layers(own):
            parts = {beginning + path: rows for path, rows in fused.parts.items()}
            layer = Layer(key=beginning + fused.name, shape=fused.shape, parts=parts)
            self.by_key[layer.key] = layer
            self._named[network] |= dict.fromkeys(names_of(fused.name), layer)

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
    """Return the shape of the weight of a linear layer or a convolution; None for any other module.

    Told from the module's numbers, for the weight of an offloaded or quantised layer has another shape.
    """
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    if isinstance(module, nn.Conv2d):
        return module.out_channels, module.in_channels // module.groups, *module.kernel_size
    return None

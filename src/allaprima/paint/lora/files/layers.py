"""The layers of a loaded base that a LoRA may change, under every name that files have for them.

The names come from the networks themselves, never from guessing where an underscore was a dot: each path is
written in all the ways that the tables below know, and a file's name is looked up among those.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from torch import nn

from allaprima.paint.lora.files.dialects import DENOISERS, KeyName
from allaprima.paint.lora.files.families import Architecture, look

# Names of one path: where the pattern is found, the same path with the replacement is a name too.
_VERSIONS: tuple[tuple[str, str], ...] = (
    # transformers 5 flattened CLIPTextModel and left CLIPTextModelWithProjection as it was
    (r"^text_model\.(?=encoder\.)", ""),
    (r"^(?=encoder\.layers\.)", "text_model."),
)
ALIASES: tuple[tuple[str, str], ...] = (
    *_VERSIONS,
    # diffusers before 0.22 kept the halves in attention processors
    (r"(?<=\battn[12])\.(to_[qkv])$", r".processor.\1"),
    (r"(?<=\battn[12])\.to_out\.0$", ".processor.to_out"),
    (r"(?<=\battn[12])\.to_out\.0$", ".to_out"),
    (r"(?<=\bself_attn)\.([qkv])_proj$", r".to_\1"),
    (r"(?<=\bself_attn)\.out_proj$", ".to_out"),
)

# What Stable Diffusion's first code (LDM, later sgm) calls the layers that diffusers renamed.
_LDM_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_LDM_INSIDE = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of one network.

    Attributes:
        key: the network's name, a dot, the module's path.
        shape: of its weight, (out, in) or (out, in, kh, kw).
    """

    key: str
    shape: tuple[int, ...]


class Layers:
    """Every layer of a base that a LoRA may change, by all its names."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.networks = tuple(networks)
        self.by_key: dict[str, Layer] = {}
        self._named: dict[str, dict[str, Layer | None]] = {}
        for network, module in networks.items():
            named = self._named.setdefault(network, {})
            paths = {path: shape for path, one in module.named_modules() if (shape := shape_of(one))}
            ldm = ldm_names(paths)
            for path, shape in paths.items():
                layer = Layer(key=f"{network}.{path}", shape=shape)
                self.by_key[layer.key] = layer
                for name in dict.fromkeys((*names_of(path), *names_of(ldm.get(path, path)))):
                    # Two layers of one name leave it without meaning; a layer's own path always has one.
                    named[name] = layer if named.get(name, layer) is layer else None
            named |= {path: self.by_key[f"{network}.{path}"] for path in paths}
        self._architecture = look((key, layer.shape[1]) for key, layer in self.by_key.items())

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


def names_of(path: str) -> list[str]:
    """Return `path` and its other names, each with its dots and with underscores for them."""
    dotted = [path]
    for pattern, replacement in ALIASES:
        dotted += [new for name in dotted if (new := re.sub(pattern, replacement, name)) not in dotted]
    return [*dotted, *(name.replace(".", "_") for name in dotted)]


def versions_of(path: str) -> tuple[str, ...]:
    """Return `path` and what other versions of the same library call it."""
    others = (re.sub(pattern, replacement, path) for pattern, replacement in _VERSIONS)
    return tuple(dict.fromkeys((path, *others)))


def ldm_names(paths: Collection[str]) -> dict[str, str]:
    """Return what LDM calls the layers of a U-Net, by their paths in diffusers; empty for any other network.

    LDM numbers its blocks through: one for each resnet (with its attention), one for each change of size on the
    way down; on the way up the change of size stands inside the last block of its size.
    """
    if not any(path.startswith("down_blocks.") for path in paths):
        return {}
    blocks = _ldm_blocks(paths)
    names = {path: name for path, name in _LDM_OUTSIDE.items() if path in paths}
    for path in paths:
        if found := re.match(r"((?:down_blocks|up_blocks)\.\d+\.\w+\.\d+|mid_block\.\w+\.\d+)\.(.+)", path):
            block, inside = found.groups()
            if block in blocks:
                ending = "op" if block.startswith("down_blocks") and "downsamplers" in block else inside
                names[path] = f"{blocks[block]}.{_LDM_INSIDE.get(inside, ending)}"
    return names


def _ldm_blocks(paths: Collection[str]) -> dict[str, str]:
    """Return LDM's name of each resnet, attention and resampler of a U-Net."""
    there = {found[0] for path in paths if (found := re.match(r"\w+(?:\.\d+)?\.[a-z]+\.\d+", path))}
    blocks = {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    blocks["mid_block.attentions.0"] = "middle_block.1"
    for side, ldm, number in (("down_blocks", "input_blocks", 1), ("up_blocks", "output_blocks", 0)):
        block = 0
        while f"{side}.{block}.resnets.0" in there:
            at, place = f"{side}.{block}", 0
            while f"{at}.resnets.{place}" in there:
                blocks[f"{at}.resnets.{place}"] = f"{ldm}.{number}.0"
                blocks[f"{at}.attentions.{place}"] = f"{ldm}.{number}.1"
                number, place = number + 1, place + 1
            if f"{at}.downsamplers.0" in there:
                blocks[f"{at}.downsamplers.0"] = f"{ldm}.{number}.0"
                number += 1
            if f"{at}.upsamplers.0" in there:
                inside = 2 if f"{at}.attentions.{place - 1}" in there else 1
                blocks[f"{at}.upsamplers.0"] = f"{ldm}.{number - 1}.{inside}"
            block += 1
    return blocks

"""Which base a LoRA belongs to, by its metadata, its layers' names, or their widths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ARCHITECTURES = {
    "sdxl": "stable-diffusion-xl-v1-base",
    "qwen-image": "qwen-image",
    "vignette": "alla-prima-vignette",
    "flux2-klein": "flux-2-klein",
    "z-image": "z-image",
}
"""Our families by the names that other programs look for in `modelspec.architecture`."""

KOHYA_VERSIONS = {"sdxl": "sdxl_base_v1-0"}
"""Our families by the names that kohya's programs look for in `ss_base_model_version`, where they differ."""

TITLES = {
    "sdxl": "SDXL", "qwen-image": "Qwen-Image", "vignette": "Vignette",
    "stable-diffusion-1": "Stable Diffusion 1.x", "stable-diffusion-2": "Stable Diffusion 2.x",
    "stable-diffusion-3": "Stable Diffusion 3.x",
    "flux": "FLUX", "flux2": "FLUX.2", "flux2-klein": "FLUX.2 klein", "wan": "Wan", "hunyuan-video": "HunyuanVideo",
    "z-image": "Z-Image", "lumina-2": "Lumina 2",
}  # fmt: skip

# What metadata says, the first pattern that is found counting.
_DECLARED = (
    (r"vignette", "vignette"),
    (r"qwen[-_ ]?image", "qwen-image"),
    (r"stable-diffusion-xl|^sdxl", "sdxl"),
    (r"stable-diffusion-v1|^sd[-_]?v?1", "stable-diffusion-1"),
    (r"stable-diffusion-v2|^sd[-_]?v?2", "stable-diffusion-2"),
    (r"stable-diffusion-v?3|^sd[-_]?v?3", "stable-diffusion-3"),
    (r"flux.*klein", "flux2-klein"),
    (r"^flux[-_. ]?2", "flux2"),
    (r"^flux", "flux"),
    (r"^wan", "wan"),
    (r"hunyuan-?video", "hunyuan-video"),
    (r"z[-_]?image", "z-image"),
)


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """Networks that share their layers' names; the width of one layer tells them apart."""

    title: str
    names: str
    """A pattern that finds this kind among names whose dots may be underscores."""
    probes: tuple[tuple[str, dict[int, tuple[str, ...]]], ...] = ()
    """Patterns of the layers whose input width tells; the first that is found counts. With each goes that width, to
    the families that have it, the likeliest first."""
    blocks: dict[int, str] = field(default_factory=dict)
    """Among families of one width, the one that has so many blocks of two streams."""


_DOUBLE_BLOCKS = {5: "flux2-klein", 8: "flux2-klein", 19: "flux", 60: "qwen-image"}
_NUMBERED = re.compile(r"(?:(?<!single_)transformer|double)_blocks[._](\d+)[._]")

KINDS = (
    NetworkKind(
        title="FLUX's transformer",
        names=r"single_transformer_blocks|(single|double)_blocks",
        probes=(
            (
                r"to_qkv_mlp_proj$",
                {3072: ("flux2-klein",), 4096: ("flux2-klein",), 6144: ("flux2",)},
            ),
            (
                r"single_blocks[._]\d+[._]linear2$",
                {15360: ("flux",), 12288: ("flux2-klein",), 16384: ("flux2-klein",), 24576: ("flux2",)},
            ),
            (r"to_[qkv]$|linear1$|qkv$", {3072: ("flux", "flux2-klein"), 4096: ("flux2-klein",)}),
        ),
        blocks=_DOUBLE_BLOCKS,
    ),
    NetworkKind(title="Stable Diffusion 3's transformer", names="joint_blocks"),
    NetworkKind(
        title="a dual-stream transformer such as Qwen-Image's",
        names=r"transformer_blocks[._]\d+[._]((img|txt)_m(od|lp)|attn)[._]",
        probes=(
            (
                r"transformer_blocks[._]\d+[._](attn[._]to_[qkv]|img_mod[._]1)$",
                {3072: ("qwen-image", "flux", "flux2-klein")},
            ),
        ),
        blocks=_DOUBLE_BLOCKS,
    ),
    NetworkKind(
        title="a U-Net",
        names=r"(input|output|down|up)_blocks[._]\d|(middle|mid)_block[._]",
        probes=(
            (
                r"attn2[._](processor[._])?to_[kv]$",
                {768: ("stable-diffusion-1",), 1024: ("stable-diffusion-2",), 2048: ("sdxl",)},
            ),
        ),
    ),
    NetworkKind(title="Wan's transformer", names=r"\bblocks[._]\d+[._](self|cross)_attn"),
    NetworkKind(
        title="Z-Image's transformer",
        names=r"\b(layers|(noise|context)_refiner)[._]\d+[._](attention|feed_forward)[._]",
        probes=((r"attention[._](to_[qkv]|qkv)$", {3840: ("z-image",), 2304: ("lumina-2",)}),),
    ),
)
"""The first whose names are found counts."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What layers look like: a kind of network, and where the widths are known, the family."""

    kinds: tuple[NetworkKind, ...] = ()
    """Those whose names are found, the first counting."""
    width: int | None = None
    """The width that tells."""
    possible: tuple[str, ...] = ()
    """The families that have it, the likeliest first."""
    declared: str | None = None

    @property
    def kind(self) -> NetworkKind | None:
        """The kind of network."""
        return next(iter(self.kinds), None)

    @property
    def family(self) -> str | None:
        """The family that is declared, unless the width belongs to another: numbers do not lie."""
        possible = self.possible
        return self.declared if self.declared in possible or not possible else possible[0]

    def __str__(self) -> str:
        """Say it in words for a message."""
        if self.family is not None:
            return TITLES.get(self.family, self.family)
        if self.kind is None:
            return "an unknown base"
        return self.kind.title + (f" ({self.width} wide)" if self.width else "")


def find_family(declared: str) -> str | None:
    """Return the family that a value of metadata means, if it is one that is known."""
    lowered = declared.lower()
    return next((family for pattern, family in _DECLARED if re.search(pattern, lowered)), None)


def look(layers: Iterable[tuple[str, int]], declared: str | None = None) -> Architecture:
    """Return what `layers` look like.

    Args:
        layers: (name, input width) of each; the width is 0 where it is not known.
        declared: the family that somebody says it is.
    """
    named = dict(layers)
    kinds = tuple(kind for kind in KINDS if any(map(re.compile(kind.names).search, named)))
    width, possible = _probe(kinds[0], named) if kinds else (None, ())
    return Architecture(kinds=kinds, width=width, possible=possible, declared=declared)


def _probe(kind: NetworkKind, named: Mapping[str, int]) -> tuple[int | None, tuple[str, ...]]:
    """Return the width that tells, and the families that have it, the likeliest first."""
    for pattern, families in kind.probes:
        probe = re.compile(pattern)
        width = next((width for name, width in named.items() if width and probe.search(name)), None)
        if width is not None:
            numbers = [int(match[1]) for name in named if (match := _NUMBERED.search(name))]
            likely = kind.blocks.get(max(numbers, default=-1) + 1)
            return width, tuple(sorted(families.get(width, ()), key=lambda family: family != likely))
    return None, ()


def differ(file: Architecture, base: Architecture) -> bool:
    """Return whether a LoRA that looks like `file` cannot have been made for a base that looks like `base`."""
    if file.family is not None and base.family is not None:
        return file.family != base.family
    return file.kind is not None and bool(base.kinds) and file.kind not in base.kinds

"""What is the same for all bases of a family, as plain data: known without torch, before any weight is read.

Code outside `bases` asks these traits, of a loaded base (`base.traits`) or of one that was only found
(`located.traits`), and never compares a family's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.starters import STARTERS


@dataclass(frozen=True, kw_only=True)
class BaseTraits:
    """The facts of one family of bases."""

    family: str
    """The architecture's name, which LoRAs are made for."""
    defaults: RequestDefaults
    """What is usual in the family; a loaded base's own `defaults` know better."""
    prompt_tokens: int
    """Tokens of a prompt of some sentences, for memory forecasts."""
    schedules: tuple[str, ...] = ()
    """The schedules that a request may name, those for few steps first."""
    fixed_size: bool = False
    """Whether bases paint their default size alone."""
    stride: int = 8
    """Pixels that both sides of a picture are multiples of."""
    english_only: bool = False
    """Whether the text encoder reads no other language."""
    starters: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: STARTERS)
    """Phrases to begin a prompt with, by their kind."""
    place_prompt: str = "{}"
    """How words for a place (`{}`) are put so that nothing large stands in it. A base that must paint something
    before a place is asked for a small thing, which is taken out again."""
    encodes_separately: bool = False
    """Whether each prompt goes through the text encoder by itself, so that its bits never depend on the others."""
    reads_references: bool = False
    """Whether it looks at pictures beside the prompt; see `TextStates.references`."""
    skippable_blocks: str | None = None
    """The list of blocks that a step cache may skip, by its name in the denoiser; None where it may skip none."""
    shipped_weights: Path | None = None
    """The folder of weights that ship with the package; its `loras` folder holds LoRAs for them."""
    warms_up: bool = False
    """Whether a picture is so quick that a studio paints one at its start, to have everything ready."""
    reloads: bool = True
    """Whether a CPU may let the weights go and read them again; for small ones that takes more than it saves."""
    read_portion_bytes: int | None = None
    """How much of a file is converted to another number format at a time; None for a whole file."""

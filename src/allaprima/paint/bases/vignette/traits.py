"""What is the same for all Vignettes; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

from pathlib import Path

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.vignette.starters import STARTERS
from allaprima.paint.contract.traits import BaseTraits

WEIGHTS = Path(__file__).parents[3] / "weights" / "vignette"

TRAITS = BaseTraits(
    family="vignette",
    defaults=RequestDefaults(width=256, height=256, steps=50, guidance=4.0),
    prompt_tokens=24,
    fixed_size=True,
    starters=STARTERS,
    place_prompt="a small candle, {}",
    shipped_weights=WEIGHTS,
    warms_up=True,
    reloads=False,
)

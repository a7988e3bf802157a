from __future__ import annotations

from allaprima.paint.bases.vignette.traits import TRAITS


def test_the_weights_that_ship_are_there() -> None:
    assert TRAITS.shipped_weights is not None
    assert (TRAITS.shipped_weights / "denoiser.safetensors").is_file()

"""The sprites and the tiny judge of the judge's own tests."""

from __future__ import annotations

from tests.lab.evaluation.conftest import small_judge, sprite_folder, sprites

__all__ = ["small_judge", "sprite_folder", "sprites"]

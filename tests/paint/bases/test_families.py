from __future__ import annotations

from allaprima.paint.bases.families import FAMILIES


def test_families_are_found_by_the_names_in_their_traits() -> None:
    assert list(FAMILIES) == ["vignette", "qwen-image", "sdxl", "flux2-klein", "z-image"]
    assert all(family.traits.family == name for name, family in FAMILIES.items())


def test_a_single_file_is_of_one_family_alone() -> None:
    assert [name for name, family in FAMILIES.items() if family.is_single_file] == ["sdxl"]


def test_a_family_ships_or_has_folders_that_name_it() -> None:
    for family in FAMILIES.values():
        assert (family.traits.shipped_weights is None) == bool(family.pipelines)

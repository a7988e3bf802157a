from __future__ import annotations

from allaprima.paint.bases.families import FAMILIES


def test_families_are_found_by_the_names_in_their_traits() -> None:
    assert list(FAMILIES) == ["vignette", "qwen-image", "sdxl", "flux2-klein", "z-image"]
    assert all(family.traits.family == name for name, family in FAMILIES.items())


def test_single_files_are_known_by_what_a_base_is_named_by() -> None:
    first = {name: family.files[0].part for name, family in FAMILIES.items() if family.files}
    transformers = ("qwen-image", "flux2-klein", "z-image")
    assert first == {"sdxl": "checkpoint", **dict.fromkeys(transformers, "transformer")}
    for family in FAMILIES.values():
        assert all(part.published for part in family.files[1:])


def test_a_family_ships_or_has_folders_that_name_it() -> None:
    for family in FAMILIES.values():
        assert (family.traits.shipped_weights is None) == bool(family.pipelines)

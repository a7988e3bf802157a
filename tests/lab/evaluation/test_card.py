"""Report cards on a base whose right answer is known, and their pages."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from tests.studio.page.running import write_loras
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.request import LoraUse
from allaprima.lab.evaluation.accuracy import ATTRIBUTES
from allaprima.lab.evaluation.card import CardSubject, CardTools, ReportCard, make_card
from allaprima.lab.evaluation.card_page import to_card_page, write_card
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.evaluation.judge import Judge
from allaprima.paint.painter import Painter

SURE: dict[str, float] = dict.fromkeys(ATTRIBUTES, 1.0)
WHEN = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    """A tiny Vignette with the LoRA 水墨."""
    folder = tmp_path_factory.mktemp("tiny")
    weights = write_tiny_vignette(folder / "vignette")
    return Painter.load(folder=weights, lora_dir=write_loras(folder / "loras", weights, {"水墨": (9, 9, 9)}))


@pytest.fixture
def card(painter: Painter, small_judge: Judge) -> ReportCard:
    subject = CardSubject(
        name="水墨", lora=LoraUse(name="水墨", weight=0.5), facts={"bytes": 2_000_000, "sha256": "ab"}
    )
    tools = CardTools(judge=small_judge, accuracy=SURE, features=ImageFeatures.load())
    return make_card(painter, subject, tools, prompts=9)


def values(card: ReportCard) -> dict[str, float | None]:
    return {row.name: row.value for row in card.rows}


def test_everything_is_painted_with_and_without(card: ReportCard) -> None:
    assert card.without is not None
    assert [use.weight for use in card.painted.request.loras] == [0.5]
    assert card.without.request.loras == ()
    assert card.painted.request.seed == card.without.request.seed
    assert card.painted.request.steps == card.without.request.steps
    assert card.painted.pictures.shape == card.without.pictures.shape == (9, 3, 256, 256)
    assert not torch.equal(card.painted.pictures, card.without.pictures)
    known = values(card)
    names = {"prompt following", "saturation", "contrast", "fine detail", "time a picture", "faulty pictures"}
    assert names | {f"{name}, without" for name in names} <= set(known)
    assert known["speed-up"] == pytest.approx(card.without.seconds / card.painted.seconds)
    assert known["file size"] == 2.0
    assert known["distance from the base"] == pytest.approx(sum(card.distances) / 9)


def test_a_lora_of_weight_0_changes_nothing(painter: Painter, small_judge: Judge) -> None:
    subject = CardSubject(name="水墨", lora=LoraUse(name="水墨", weight=0.0))
    tools = CardTools(judge=small_judge, accuracy=SURE, features=ImageFeatures.load())
    card = make_card(painter, subject, tools, prompts=9)
    assert card.without is not None
    assert torch.equal(card.painted.pictures, card.without.pictures)
    known = values(card)
    assert known["distance from the base"] == 0
    assert known["Frechet distance from the base"] == pytest.approx(0, abs=1e-5)
    assert known["prompt following"] == known["prompt following, without"]
    assert card.changed(broken=True) == card.changed(broken=False) == []


def test_a_base_is_painted_once() -> None:
    card = make_card(Painter(base=SteadyBase()), CardSubject(name="vignette"), CardTools(), prompts=9)
    assert card.without is None
    assert not any(", without" in row.name for row in card.rows)
    assert card.left_out == ("Whether prompts are followed is not measured: there is no judge.",)
    assert "Without it, and with it" not in to_card_page(card, WHEN, "", "a machine")


def test_broken_and_mended_are_told_apart(card: ReportCard) -> None:
    assert card.without is not None
    for broken in (True, False):
        lost, kept = (card.painted, card.without) if broken else (card.without, card.painted)
        for number in card.changed(broken=broken):
            assert kept.is_right(number, card.heard)
            assert not lost.is_right(number, card.heard)


def test_the_page_needs_no_other_file_and_holds_all_figures(card: ReportCard, tmp_path: Path) -> None:
    page, told = write_card(card, tmp_path / "reports", WHEN, "body{color:red}", "a <machine>")
    html = page.read_text(encoding="utf-8")
    assert page.name == "水墨.html"
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "<script" not in html
    assert "a &lt;machine&gt;" in html
    assert html.count("<img") >= 18
    assert re.search(r'class="n">\d+\.\d %', html)  # columns of rates have one digit each
    for row in card.rows:
        assert ", " in row.name or row.name in html
    data = json.loads(told.read_text(encoding="utf-8"))
    assert (data["name"], data["prompts"], data["file"]["sha256"]) == ("水墨", 9, "ab")
    assert {"name", "value", "unit", "must", "aim", "better"} <= set(data["rows"][0])
    assert data["requests"]["painted"]["loras"] == [{"name": "水墨", "weight": 0.5}]


def test_names_cannot_write_into_the_page() -> None:
    subject = CardSubject(name="<b>&", facts={"license": "<script>"})
    card = make_card(Painter(base=SteadyBase()), subject, CardTools(), prompts=9)
    html = to_card_page(card, WHEN, "", "")
    assert "<b>&" not in html
    assert "<script>" not in html

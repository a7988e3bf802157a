"""The load benchmark's material is what it says, and its strangers do what they should."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from benchmarks.load_attack import Attack
from benchmarks.load_typist import frame_times_ms
from tests.studio.server.conftest import Serve, serve  # noqa: F401 (a fixture)
from typer.testing import CliRunner

from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.openai_bodies import ImagesBody
from benchmarks import load


def test_the_gallery_is_full_and_right(tmp_path: Path) -> None:
    load._fill_gallery(tmp_path, 7)
    with closing(Gallery.open(tmp_path)) as gallery:
        assert len(gallery) == len(gallery.search("rooftop")) == 7
        assert all(gallery.find_png(entry.id) for entry in gallery.search())


def test_the_loras_can_be_listed(tmp_path: Path) -> None:
    load._write_loras(tmp_path, 3)
    assert [card.family for card in LoraCards(tmp_path).all()] == ["vignette"] * 3


def test_the_requests_are_mixed() -> None:
    bodies = [ImagesBody.model_validate(load._mixed(number, ["vignette", "xl"])) for number in range(200)]
    assert len({body.size for body in bodies}) > 10
    assert len({tuple(lora.name for lora in body.loras) for body in bodies}) == 5
    assert {body.model for body in bodies} == {"vignette", "xl"}


def test_typing_goes_on_under_attack(serve: Serve) -> None:  # noqa: F811
    served = serve()
    settings = {"width": 128, "height": 64}
    with Attack(served.url, heads=20, uploads=4, pings=5_000) as strangers:
        times = frame_times_ms(served.url, 10, settings)
        while not strangers.is_done:
            assert httpx2.get(f"{served.url}/healthz", trust_env=False).status_code == 200
            time.sleep(0.05)
    assert len(times) == 10
    assert threading.active_count() < 50


def test_an_unknown_part_is_told(tmp_path: Path) -> None:
    ran = CliRunner().invoke(load.app, ["--part", "nothing", "--results", str(tmp_path)])
    assert ran.exit_code == 2
    assert "expected kept, loras" in ran.output


@pytest.mark.slow
def test_a_part_makes_a_result(tmp_path: Path) -> None:
    options = ["--part", "kept", "--share", "0.02", "--results", str(tmp_path), "--json"]
    ran = CliRunner().invoke(load.app, options)
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[-1].startswith('{"rows": [{"name": "kept connection, p50"')

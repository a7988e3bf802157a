from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.core.report_place import report_path

FOLDER = Path("reports")


def test_plain_names_stay() -> None:
    assert report_path(FOLDER, "turbo") == FOLDER / "turbo.html"
    assert report_path(FOLDER, "水墨 v2", ".json").name.startswith("水墨-v2-")
    assert report_path(FOLDER, "水墨") == FOLDER / "水墨.html"


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "/etc/passwd", "..", "", ".hidden", "a/b", "a\\b", "a\0b", "名" * 200]
)
def test_no_name_leads_out(name: str) -> None:
    path = report_path(FOLDER, name)
    assert path.parent == FOLDER
    assert not path.name.startswith(".")
    assert len(path.name.encode()) < 200


def test_names_of_the_same_letters_differ() -> None:
    paths = {report_path(FOLDER, name) for name in ("a/b", "a-b", "a b", "a\\b")}
    assert len(paths) == 4

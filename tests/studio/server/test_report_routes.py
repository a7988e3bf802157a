"""Report cards behind the studio's door: found by the LoRA's name, whatever that is, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.studio.server.conftest import Serve
from tests.studio.server.lora_files import cards_with

from allaprima.core.report_place import report_path


@pytest.mark.parametrize("name", ["ink", "水墨", "ink wash v2"])
def test_the_shelf_links_what_is_there(serve: Serve, tmp_path: Path, name: str) -> None:
    cards_with(tmp_path / "loras", "other")
    served = serve(loras=cards_with(tmp_path / "loras", name))
    served.studio.reports = tmp_path / "reports"
    with served.client() as client:
        assert not any(one["report"] for one in client.get("/api/loras").json()["loras"])
        (tmp_path / "reports").mkdir()
        report_path(tmp_path / "reports", name).write_text("<h1>猫</h1>", encoding="utf-8")
        told = {one["name"]: one["report"] for one in client.get("/api/loras").json()["loras"]}
        assert told == {name: True, "other": False}
        answer = client.get(f"/reports/{quote(name, safe='')}")
    assert answer.status_code == 200
    assert "猫" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script" not in policy
    assert policy.startswith("default-src 'none'")


def test_nothing_else_is_shown(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    served.studio.reports = tmp_path / "reports"
    (tmp_path / "reports").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "reports" / "link.html").symlink_to(tmp_path / "secret.html")
    with served.client() as client:
        for name in ("link", "../secret", "%2e%2e%2fsecret", "nothing", "a" * 3000):
            assert client.get(f"/reports/{name}").status_code == 404, name

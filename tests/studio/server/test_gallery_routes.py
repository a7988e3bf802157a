"""The page's routes: what was painted is found, shown, opened again and deleted; metrics tell what happened."""

from __future__ import annotations

import io

from PIL import Image
from tests.studio.server.clients import paint
from tests.studio.server.conftest import Served


def test_the_gallery_finds_opens_and_deletes(served: Served) -> None:
    cat, lion = paint(served, seed=1), paint(served, prompt="a lion", seed=2)
    with served.client() as client:
        found = client.get("/api/gallery", params={"query": "roof"}).json()
        assert [one["id"] for one in found["pictures"]] == [cat["id"]]
        assert found["total"] == 1
        page = client.get("/api/gallery", params={"limit": 1}).json()
        assert [one["id"] for one in page["pictures"]] == [lion["id"]]
        assert page["total"] == 2
        rest = client.get("/api/gallery", params={"limit": 1, "before": page["next"]}).json()
        assert [one["id"] for one in rest["pictures"]] == [cat["id"]]
        entry = client.get(f"/api/gallery/{cat['id']}").json()
        again = paint(served, **entry["request"])
        assert client.get(again["url"]).content == client.get(cat["url"]).content
        assert client.delete(f"/api/gallery/{cat['id']}").status_code == 204
        assert client.delete(f"/api/gallery/{cat['id']}").status_code == 404
        assert client.get(cat["url"]).status_code == 404
        assert client.get("/api/gallery", params={"limit": 0}).status_code == 400


def test_pictures_come_in_every_format_and_small(served: Served) -> None:
    entry = paint(served)
    with served.client() as client:
        for suffix, kind in (("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("thumbnail", "JPEG")):
            answer = client.get(f"/pictures/{entry['id']}.{suffix}")
            assert "immutable" in answer.headers["cache-control"]
            with Image.open(io.BytesIO(answer.content)) as image:
                assert image.format == kind
                assert answer.headers["content-type"] == f"image/{kind.lower()}"


def test_the_configuration_tells_bounds_and_no_paths(served: Served) -> None:
    with served.client() as client:
        config = client.get("/api/config").json()
        assert config["bases"][0]["name"] == "vignette"
        assert config["caps"]["live_steps"] == 8
        assert config["caps"]["live_picture_bytes"] == 8 * 2**20
        assert config["live_protocol"] == 3
        assert config["login"] is False
        assert client.get("/api/loras").json() == {"loras": []}
        assert str(served.gallery_folder) not in client.get("/api/config").text


def test_a_damaged_picture_is_said_to_be_so(served: Served) -> None:
    entry = paint(served)
    file = served.gallery_folder / f"{entry['id']}.png"
    whole = file.read_bytes()
    middle = len(whole) // 2
    jpeg = entry["url"].replace(".png", ".jpeg")
    with served.client() as client:
        for data in (
            whole[:100],
            b"",
            b"junk",
            whole[:middle] + whole[middle + 40 :],
            whole[:60] + bytes(40) + whole[100:],
        ):
            file.write_bytes(data)
            assert client.get(entry["thumbnail"]).status_code == 410, len(data)
            assert client.get(jpeg).status_code == 410
            assert client.get(entry["url"]).status_code in (200, 410)
        file.unlink()
        file.symlink_to("/etc/hostname")
        for url in (entry["url"], entry["thumbnail"], jpeg):
            assert client.get(url).status_code == 404
        assert client.delete(f"/api/gallery/{entry['id']}").status_code == 204

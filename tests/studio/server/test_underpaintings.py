"""What a kept picture was painted over is kept, told, deleted and lost with it, and never told by its own file."""

from __future__ import annotations

import base64
import io
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.studio.server.clients import REQUEST, paint
from tests.studio.server.conftest import Served
from tests.studio.server.pictures import plain_picture
from tests.studio.server.test_live_pictures import keep, plain

from allaprima.core.errors import OutputError
from allaprima.core.init_image import InitImage
from allaprima.core.provenance import PNG_KEY
from allaprima.studio.server.gallery import INDEX, UNDERPAINTINGS, Gallery


def noisy(mask: bool = True, **values: Any) -> InitImage:
    chosen = random.Random(7)
    levels = chosen.randbytes(16 * 16) if mask else None
    return InitImage(width=16, height=16, rgb=chosen.randbytes(3 * 16 * 16), mask=levels, **values)


def files(gallery: Path) -> list[str]:
    return sorted(path.name for path in (gallery / UNDERPAINTINGS).glob("*"))


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("full_steps", [True, False])
def test_all_of_it_comes_back_bit_for_bit(tmp_path: Path, mask: bool, full_steps: bool) -> None:
    gallery = Gallery.open(tmp_path)
    init_image = noisy(mask, strength=0.123, full_steps=full_steps)
    entry = gallery.add(plain_picture(), init_image=init_image)
    plainly = gallery.add(plain_picture())
    gallery.close()
    again = Gallery.open(tmp_path)
    assert again.find_init_image(entry.id) == init_image
    assert again.find_init_image(plainly.id) is None
    assert [one.underpainted for one in again.search()] == [False, True]
    assert again.search() == [plainly, entry]


@pytest.mark.parametrize("fill", [True, False])
def test_a_window_comes_back_with_the_whole_picture_around_it(tmp_path: Path, fill: bool) -> None:
    picture = Image.frombytes("RGB", (60, 40), random.Random(1).randbytes(3 * 60 * 40))
    mask = Image.new("L", (60, 40), 0)
    mask.paste(255, (50, 10, 58, 20))
    window = InitImage.window(picture, mask, (40, -4, 72, 28), width=16, height=16, strength=0.9, fill=fill)
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture(), init_image=window)
    found = gallery.find_init_image(entry.id)
    assert found == window
    assert found.whole.rgb == picture.tobytes()
    assert found.whole.mask == mask.tobytes()


@pytest.mark.parametrize("name", ["../secret", "..", "", "a\0b", "x" * 5000, "0123456789ab-0123456789ab"])
def test_a_name_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    gallery = Gallery.open(tmp_path / "gallery")
    gallery.add(plain_picture(), init_image=noisy())
    (tmp_path / "secret.png").write_bytes(b"secret")
    assert gallery.find_init_image(name) is None


def test_it_is_deleted_with_its_picture(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    kept, deleted = (gallery.add(plain_picture(), init_image=noisy()) for _ in range(2))
    assert gallery.delete(deleted.id)
    assert gallery.find_init_image(deleted.id) is None
    assert files(tmp_path) == [f"{kept.id}.png"]


def test_an_index_made_anew_finds_it_again(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture(), init_image=noisy())
    gallery.close()
    for file in tmp_path.glob(f"{INDEX}*"):
        file.unlink()
    again = Gallery.open(tmp_path)
    assert again.search() == [entry]
    assert again.find_init_image(entry.id) == noisy()


@pytest.mark.parametrize("damage", [b"", b"no picture", None])
def test_one_that_is_damaged_or_gone_harms_nothing_else(tmp_path: Path, damage: bytes | None) -> None:
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture(), init_image=noisy())
    file = tmp_path / UNDERPAINTINGS / f"{entry.id}.png"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert gallery.find_init_image(entry.id) is None
    assert gallery.find_png(entry.id) is not None
    assert gallery.delete(entry.id)
    assert files(tmp_path) == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "gallery")
    mine, other = (gallery.add(plain_picture(), init_image=noisy()) for _ in range(2))
    folder = tmp_path / "gallery" / UNDERPAINTINGS
    (folder / f"{mine.id}.png").rename(tmp_path / "secret.png")
    (folder / f"{mine.id}.png").symlink_to(tmp_path / "secret.png")
    assert gallery.find_init_image(mine.id) is None
    assert gallery.find_init_image(other.id) is not None
    assert gallery.delete(mine.id)
    assert (tmp_path / "secret.png").exists()


def test_without_a_place_for_it_nothing_is_kept(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    (tmp_path / UNDERPAINTINGS).write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError):
        gallery.add(plain_picture(), init_image=noisy())
    assert gallery.search() == []
    assert list(tmp_path.glob("*.png")) == []


def test_a_picture_of_another_program_in_its_place_is_none(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture(), init_image=noisy())
    Image.new("RGB", (16, 16)).save(tmp_path / UNDERPAINTINGS / f"{entry.id}.png")
    assert gallery.find_init_image(entry.id) is None


def test_opening_deletes_what_no_picture_has_any_more_unless_it_is_being_kept_now(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture(), init_image=noisy())
    gallery.close()
    folder = tmp_path / UNDERPAINTINGS
    for name in ("0123456789ab-000000000001.png", "0123456789ab-000000000002.png", ".cut.part"):
        (folder / name).write_bytes(b"left by kill -9")
    hours_ago = time.time() - 7200
    for old in ("0123456789ab-000000000001.png", ".cut.part", f"{entry.id}.png"):
        os.utime(folder / old, (hours_ago, hours_ago))
    again = Gallery.open(tmp_path)
    assert files(tmp_path) == sorted([f"{entry.id}.png", "0123456789ab-000000000002.png"])
    assert again.find_init_image(entry.id) == noisy()


def test_a_job_keeps_what_it_was_painted_over_and_the_routes_give_it_back(served: Served) -> None:
    mask = Image.new("L", (128, 64), 0)
    mask.paste(255, (0, 0, 64, 64))
    out = io.BytesIO()
    mask.save(out, "PNG")
    sent: dict[str, Any] = {
        "picture": base64.b64encode(plain(33)).decode(),
        "mask": base64.b64encode(out.getvalue()).decode(),
    }
    entry = keep(served, **sent, strength=0.6)
    assert entry["underpainted"]
    with served.client() as client:
        found = client.get(f"/api/gallery/{entry['id']}").json()
        place = f"/api/gallery/{entry['id']}"
        assert found["init"] == {
            "strength": 0.6, "full_steps": False, "url": f"{place}/init", "mask": f"{place}/mask",
        }  # fmt: skip
        pictures = [
            Image.open(io.BytesIO(client.get(found["init"][name]).content)) for name in ("url", "mask")
        ]
        assert (pictures[0].mode, set(pictures[0].tobytes())) == ("RGB", {33})
        assert pictures[1].tobytes() == mask.tobytes()
        own = client.get(entry["url"]).content
        with Image.open(io.BytesIO(own)) as image:
            assert image.mode == "RGB"
            assert set(image.info) <= {"parameters", "allaprima", "xmp", PNG_KEY}
        assert client.delete(place).status_code == 204
        for gone in ("", "/init", "/mask"):
            assert client.get(place + gone).status_code == 404
    assert files(served.gallery_folder) == []


def test_a_picture_opened_again_is_painted_over_the_same(served: Served) -> None:
    first = keep(served, picture=base64.b64encode(plain(33)).decode(), strength=0.3, full_steps=True)
    again = keep(served, first["request"], under=first["id"])
    with served.client() as client:
        assert client.get(again["url"]).content == client.get(first["url"]).content
    assert served.studio.gallery.find_init_image(again["id"]) == served.studio.gallery.find_init_image(
        first["id"]
    )


def test_a_picture_painted_over_nothing_has_none(served: Served) -> None:
    entry = paint(served)
    with served.client() as client:
        place = f"/api/gallery/{entry['id']}"
        assert client.get(place).json()["init"] is None
        assert client.get(f"{place}/init").status_code == 404
        assert client.get("/api/gallery/none/init").status_code == 404
        over = keep(served, kept=entry["id"])
        assert client.get(f"/api/gallery/{over['id']}/mask").status_code == 404
        png = client.get(f"/api/gallery/{over['id']}/init").content
        with (
            Image.open(io.BytesIO(png)) as image,
            Image.open(io.BytesIO(client.get(entry["url"]).content)) as kept,
        ):
            assert image.tobytes() == kept.tobytes()


def test_a1111s_img2img_keeps_its_underpainting(served: Served) -> None:
    body = {
        "prompt": "a cat", "width": 128, "height": 64, "steps": 2, "denoising_strength": 0.5,
        "init_images": [base64.b64encode(plain(66)).decode()],
    }  # fmt: skip
    with served.client() as client:
        assert client.post("/sdapi/v1/img2img", json=body).status_code == 200
    (entry,) = served.studio.gallery.search()
    kept = served.studio.gallery.find_init_image(entry.id)
    assert kept is not None
    assert (kept.strength, set(kept.rgb)) == (0.5, {66})


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ({}, "one of picture, kept and under"),
        ({"kept": "x", "under": "y"}, "one of picture, kept and under"),
        ({"kept": "../x"}, "expected the id"),
        ({"under": "../x"}, "painted over another"),
        ({"picture": "!"}, "base64"),
        ({"picture": "AAAA"}, "no picture"),
        ({"picture": base64.b64encode(plain(1)).decode(), "strength": 2}, "strength"),
        ({"picture": base64.b64encode(plain(1)).decode(), "mask": "AAAA"}, "no picture"),
        (
            {"picture": base64.b64encode(plain(1)).decode(), "mask": base64.b64encode(plain(0)).decode()},
            "keeps every",
        ),
        ({"path": "/etc/passwd"}, "Extra inputs"),
    ],
)
def test_an_init_that_cannot_be_used_is_refused(served: Served, init: dict[str, Any], says: str) -> None:
    with served.client() as client:
        answer = client.post("/api/jobs", json={"request": REQUEST, "init": init})
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]

"""What leaves the live session: kept pictures, files, flipbooks; and a studio that goes away and comes back."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.studio.page.conftest import PATIENCE_MS, window
from tests.studio.page.running import RunningStudio
from tests.studio.page.seen import keep, paint, settings, wait_for_state, wait_until_painted

from allaprima.core.picture_files import read_request
from allaprima.core.request import MAX_SEED
from allaprima.studio.server.flipbook_routes import MAX_PAGES, MAX_PIXELS

TOKEN = "a-token-of-enough-letters"


def test_a_reload_finds_what_was_kept(own_page: Page) -> None:
    cat = paint(own_page, "a cat on a roof")
    seed = settings(own_page)["seed"]
    keep(own_page)
    paint(own_page, "a lion")
    keep(own_page)
    own_page.reload()
    own_page.wait_for_selector("[data-status=open]", state="attached")
    own_page.click("#open-gallery")
    expect(own_page.locator(".kept")).to_have_count(2)
    own_page.locator("#search").fill("roof")
    expect(own_page.locator(".kept")).to_have_count(1)
    own_page.locator(".kept .picture").click()
    expect(own_page.locator("#prompt")).to_have_value("a cat on a roof")
    assert wait_until_painted(own_page) == cat
    assert settings(own_page)["seed"] == seed


def test_a_seed_that_javascript_cannot_count_is_kept_whole(own_page: Page, studio: RunningStudio) -> None:
    request = {"prompt": "a cat", "seed": MAX_SEED, "steps": 2, "guidance": 1.0}
    own_page.request.post(f"{studio.url}/api/jobs", data={"request": request})
    own_page.click("#open-gallery")
    expect(own_page.locator(".caption-facts")).to_contain_text(f"seed {MAX_SEED}")
    own_page.locator(".kept .picture").click()
    expect(own_page.locator("#seed")).to_have_value(str(MAX_SEED))
    wait_until_painted(own_page)
    own_page.reload()
    own_page.wait_for_selector("[data-status=open]", state="attached")
    own_page.fill("#seed", str(MAX_SEED - 1))
    own_page.press("#seed", "Tab")
    wait_until_painted(own_page)
    own_page.click("#keep")
    own_page.wait_for_selector(".job a.button")
    own_page.fill("#seed", str(MAX_SEED + 1))
    own_page.press("#seed", "Tab")
    expect(own_page.locator("#seed")).to_have_value(str(MAX_SEED - 1))
    with own_page.expect_response("**/api/gallery?*") as waiting:
        own_page.click("#open-gallery")
    assert [one["request"]["seed"] for one in waiting.value.json()["pictures"]] == [MAX_SEED - 1, MAX_SEED]


def test_a_kept_picture_is_deleted_only_when_asked_twice(own_page: Page) -> None:
    paint(own_page, "a cat")
    keep(own_page)
    own_page.keyboard.press("Alt+KeyG")
    own_page.locator(".kept").hover()
    own_page.get_by_role("button", name="Delete: a cat").click()
    expect(own_page.locator(".kept")).to_have_count(1)
    own_page.get_by_role("button", name="Delete for good? a cat").click()
    expect(own_page.locator(".kept")).to_have_count(0)
    expect(own_page.locator("#gallery-said")).to_contain_text("Nothing is kept yet")
    expect(own_page.locator("#search")).to_be_focused()


def test_deleting_is_told_inside_the_gallery_and_leads_to_a_neighbour(own_page: Page) -> None:
    for words in ("a cat", "a lion", "a fox"):
        paint(own_page, words)
        keep(own_page)
    own_page.keyboard.press("Alt+KeyG")
    said = own_page.locator("#gallery-said")
    expect(said).to_have_text("3 kept")
    own_page.get_by_role("button", name="Delete: a lion").focus()
    own_page.keyboard.press("Enter")
    expect(said).to_have_text("Press again to delete for good.")
    own_page.keyboard.press("Shift+Tab")
    expect(said).to_have_text("3 kept")
    for words, left, neighbour in (("a lion", 2, "a cat"), ("a cat", 1, "a fox")):
        own_page.get_by_role("button", name=f"Delete: {words}").focus()
        own_page.keyboard.press("Enter")
        own_page.keyboard.press("Enter")
        expect(said).to_have_text(f"Deleted. {left} kept")
        beside = own_page.locator("#pictures").get_by_role("button", name=neighbour, exact=True)
        expect(beside).to_be_focused()


def test_a_picture_that_was_deleted_elsewhere_is_kept_again(lone_page: Page, studio: RunningStudio) -> None:
    with studio.open() as opened:
        lone_page.goto(studio.url)
        paint(lone_page, "a cat")
        keep(lone_page)
        lone_page.click("#keep")
        expect(lone_page.locator("#said")).to_have_text("Already kept.")
        (first,) = opened.gallery.search()
        opened.gallery.delete(first.id)
        with lone_page.expect_download() as waiting:
            lone_page.keyboard.press("Alt+KeyS")
        assert waiting.value.failure() is None
        (second,) = opened.gallery.search()
        assert second.id != first.id


def test_a_fast_second_press_keeps_one_picture(own_page: Page) -> None:
    paint(own_page, "a cat")
    own_page.dblclick("#keep")
    own_page.wait_for_selector(".job a.button")
    own_page.click("#open-gallery")
    expect(own_page.locator("#gallery-said")).to_have_text("1 kept")
    expect(own_page.locator(".job")).to_have_count(1)


def test_a_downloaded_picture_carries_its_request(own_page: Page, tmp_path: Path) -> None:
    paint(own_page, "a cat on a roof")
    with own_page.expect_download() as waiting:
        own_page.click("#save")
    assert waiting.value.suggested_filename == "a-cat-on-a-roof.png"
    file = tmp_path / "picture.png"
    waiting.value.save_as(file)
    request = read_request(file)
    assert (request.prompt, request.seed) == ("a cat on a roof", settings(own_page)["seed"])


def test_finishing_takes_the_bases_own_steps(own_page: Page) -> None:
    paint(own_page, "a cat")
    own_page.keyboard.press("Alt+Enter")
    own_page.wait_for_selector(".job a.button")
    own_page.click("#open-gallery")
    expect(own_page.locator(".caption-facts")).to_contain_text("10 steps")


def test_finishing_takes_turbo_off(browser: Browser, studio: RunningStudio) -> None:
    shutil.copy(studio.loras / "ink.safetensors", studio.loras / "turbo.safetensors")
    with studio.open(), window(browser, studio) as page:
        paint(page, "a cat")
        keep(page)
        page.keyboard.press("Alt+Enter")
        page.click("#open-gallery")
        expect(page.locator(".kept")).to_have_count(2)
    requests = [read_request(path) for path in studio.folder.glob("*.png")]
    quick, slow = sorted(requests, key=lambda request: request.steps)
    assert ([use.name for use in quick.loras], quick.steps) == (["turbo"], 4)
    assert (slow.loras, slow.steps, slow.seed) == ((), 10, quick.seed)


def test_a_session_becomes_a_flipbook(own_page: Page, tmp_path: Path) -> None:
    for words in ("a cat", "a cat on", "a cat on a roof"):
        paint(own_page, words)
    wait_for_state(own_page, "a cat on a roof")
    with own_page.expect_download() as waiting:
        own_page.click("#flipbook")
    file = tmp_path / "book.webp"
    waiting.value.save_as(file)
    with Image.open(file) as book:
        assert book.size == (256, 256)
        assert getattr(book, "n_frames", 1) >= 3


def test_two_states_under_one_divider(own_page: Page) -> None:
    for words in ("a cat", "a lion"):
        paint(own_page, words)
        wait_for_state(own_page, words)
    own_page.keyboard.press("Alt+KeyC")
    expect(own_page.locator("#before")).to_have_text("a cat")
    divider = own_page.get_by_role("slider", name="Divider between the earlier picture and this one")
    expect(divider).to_be_focused()
    divider.press("Home")
    assert (
        own_page.evaluate("() => document.getElementById('easel').style.getPropertyValue('--divider')")
        == "0%"
    )
    own_page.keyboard.press("Alt+KeyC")
    expect(own_page.locator("#other")).to_be_hidden()


def test_the_page_says_when_the_studio_is_gone_and_comes_back_by_itself(
    lone_page: Page, studio: RunningStudio
) -> None:
    _paint_and_leave(lone_page, studio)
    expect(lone_page.locator("#connection")).to_contain_text("The studio is not answering")
    lone_page.fill("#prompt", "a lion")
    lone_page.click("#keep")
    expect(lone_page.locator(".job.failed")).to_contain_text("not answering")
    with studio.open():
        expect(lone_page.locator("#connection")).to_have_attribute("data-status", "open", timeout=PATIENCE_MS)
        wait_until_painted(lone_page)
        expect(lone_page.locator("#picture")).to_have_attribute("aria-label", "Picture of: a lion")


def test_words_typed_while_the_base_is_loaded_are_painted(lone_page: Page, studio: RunningStudio) -> None:
    studio.held = threading.Event()
    with studio.open():
        lone_page.goto(studio.url)
        expect(lone_page.locator("#connection")).to_contain_text("Loading")
        lone_page.fill("#prompt", "a cat")
        studio.held.set()
        expect(lone_page.locator("#connection")).to_have_attribute("data-status", "open", timeout=PATIENCE_MS)
        wait_until_painted(lone_page)
        expect(lone_page.locator("#picture")).to_have_attribute("aria-label", "Picture of: a cat")


def test_a_guarded_studio_asks_for_its_token_once(lone_page: Page, studio: RunningStudio) -> None:
    studio.token = TOKEN
    with studio.open():
        lone_page.goto(studio.url)
        _show(lone_page, "not this one")
        expect(lone_page.locator("#answer")).to_contain_text("not the token")
        _show(lone_page, TOKEN)
        paint(lone_page, "a cat")
        lone_page.reload()
        expect(lone_page.locator("#prompt")).to_have_value("a cat")


def test_a_studio_that_came_back_with_another_token_asks_for_it(
    lone_page: Page, studio: RunningStudio
) -> None:
    _paint_and_leave(lone_page, studio)
    studio.token = TOKEN
    with studio.open():
        _show(lone_page, TOKEN)
        expect(lone_page.locator("#prompt")).to_have_value("a cat")
        wait_until_painted(lone_page)


def test_a_long_session_of_large_pictures_still_makes_a_flipbook(page: Page) -> None:
    script = """async (caps) => {
      const { Flipbook } = await import("/static/flipbook.js");
      const book = new Flipbook(caps);
      for (let sequence = 0; sequence < 200; sequence += 1) {
        book.note({ sequence, width: 1024, height: 1024 }, new Uint8Array(9));
      }
      return book.pages;
    }"""
    pages = page.evaluate(script, {"pages": MAX_PAGES, "pixels": MAX_PIXELS, "bytes": 20 * 2**20})
    assert 32 < pages <= MAX_PIXELS // 1024**2


def _paint_and_leave(page: Page, studio: RunningStudio) -> None:
    """Paint in a studio that closes then."""
    with studio.open():
        page.goto(studio.url)
        paint(page, "a cat")


def _show(page: Page, token: str) -> None:
    """Answer the door."""
    page.get_by_label("The token").fill(token)
    page.get_by_role("button").click()

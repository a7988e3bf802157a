"""Typing, sliders and seeds: the picture follows, and the same state is the same picture."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect
from tests.studio.page.running import RunningStudio
from tests.studio.page.seen import paint, settings, stored, wait_for_state, wait_until_painted

_WATCH = """() => {
  window.seen = new Set();
  const canvas = document.getElementById("picture");
  const original = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    original.apply(this, given);
    if (this.canvas === canvas) window.seen.add(document.getElementById("prompt").value);
  };
}"""


def test_the_picture_follows_the_typing(page: Page) -> None:
    page.evaluate(_WATCH)
    page.locator("#prompt").press_sequentially("a cat on a roof", delay=120)
    wait_until_painted(page)
    seen = page.evaluate("() => [...window.seen]")
    assert len(seen) >= 5, seen
    assert seen[-1] == "a cat on a roof"


def test_one_word_changes_the_picture_and_back_again_gives_it_back(page: Page) -> None:
    cat = paint(page, "a cat on a roof")
    lion = paint(page, "a lion on a roof")
    assert lion != cat
    assert paint(page, "a cat on a roof") == cat


def test_an_empty_prompt_takes_the_picture_down_and_begins_with_other_noise(page: Page) -> None:
    paint(page, "a cat")
    seed = settings(page)["seed"]
    page.keyboard.press("Alt+KeyX")
    expect(page.locator("#easel")).to_have_attribute("data-empty", "")
    expect(page.locator("#keep")).to_be_disabled()
    assert settings(page)["seed"] != seed


def test_an_empty_prompt_is_free_of_old_trouble(page: Page) -> None:
    page.fill("#prompt", "a cat <lora:nothing:1>")
    expect(page.locator("#said")).to_have_attribute("data-kind", "trouble")
    page.keyboard.press("Alt+KeyX")
    expect(page.locator("#said")).to_be_empty()


def test_the_empty_easel_invites(page: Page) -> None:
    expect(page.locator(".invitation")).to_be_visible()
    paint(page, "a cat")
    expect(page.locator(".invitation")).to_be_hidden()


def test_a_locked_seed_stays(page: Page) -> None:
    paint(page, "a cat")
    before = settings(page)["seed"]
    page.click("#lock")
    expect(page.locator("#reroll")).to_be_disabled()
    page.keyboard.press("Alt+KeyR")
    page.fill("#prompt", "")
    page.fill("#prompt", "a dog")
    assert settings(page)["seed"] == before


def test_another_seed_is_another_picture(page: Page) -> None:
    first = paint(page, "a cat")
    page.click("#reroll")
    assert wait_until_painted(page) != first


def test_a_lora_acts_while_its_slider_moves(page: Page) -> None:
    bare = paint(page, "a cat")
    page.get_by_role("button", name="ink").click()
    worn = wait_until_painted(page)
    assert worn != bare
    slider = page.get_by_role("slider", name="Weight of ink")
    slider.focus()
    slider.press("ArrowLeft")
    assert wait_until_painted(page) != worn
    assert settings(page)["loras"] == [{"name": "ink", "weight": 0.95}]
    slider.fill("0")
    assert wait_until_painted(page) == bare
    page.get_by_role("button", name="ink").click()
    assert wait_until_painted(page) == bare
    assert settings(page)["loras"] == []


def test_a_lora_that_is_gone_is_told_of(page: Page, shared_studio: RunningStudio) -> None:
    paint(page, "a cat")
    (shared_studio.loras / "torn.safetensors").unlink()
    page.get_by_role("button", name="torn").click()
    expect(page.locator("#said")).to_contain_text("torn")


def test_a_lora_that_is_gone_can_be_taken_off(own_page: Page, studio: RunningStudio) -> None:
    bare = paint(own_page, "a cat")
    own_page.get_by_role("button", name="ink").click()
    wait_until_painted(own_page)
    (studio.loras / "ink.safetensors").unlink()
    own_page.click("#refresh-loras")
    lost = own_page.get_by_role("button", name="ink not here")
    expect(lost).to_have_attribute("aria-pressed", "true")
    own_page.reload()
    own_page.fill("#prompt", "a lion")
    expect(own_page.locator("#said")).to_contain_text("ink")
    lost.click()
    expect(lost).to_have_count(0)
    expect(own_page.locator("#refresh-loras")).to_be_focused()
    expect(own_page.locator("#said")).to_be_empty()
    assert paint(own_page, "a cat") == bare
    assert settings(own_page)["loras"] == []


def test_the_negative_prompt_waits_for_guidance(page: Page) -> None:
    expect(page.locator("#negative")).to_be_disabled()
    paint(page, "a cat")
    page.locator("#guidance").fill("4")
    led = wait_until_painted(page)
    page.locator("#negative").fill("dog")
    assert wait_until_painted(page) != led


def test_an_input_method_writes_what_is_not_in_the_picture(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    page.locator("#guidance").fill("4")
    page.focus("#negative")
    session.send("Input.imeSetComposition", {"text": "gou", "selectionStart": 3, "selectionEnd": 3})
    assert settings(page)["negative_prompt"] == ""
    session.send("Input.insertText", {"text": "狗"})
    assert settings(page)["negative_prompt"] == "狗"
    page.keyboard.press("Alt+KeyR")
    expect(page.locator("#negative")).to_have_value("狗")


def test_every_setting_reaches_the_request(page: Page) -> None:
    page.locator("#steps").fill("2")
    page.get_by_role("radio", name="Medium").check()
    page.locator("#seed").fill("7")
    page.locator("#seed").press("Tab")
    paint(page, "a cat")
    held = settings(page)
    assert (held["steps"], held["quality"], held["seed"]) == (2, "medium", 7)
    assert (held["width"], held["height"], held["base"]) == (256, 256, "vignette")


def test_what_is_typed_before_the_studio_answers_is_painted_then(page: Page) -> None:
    held: list[Route] = []
    page.route("**/api/config", lambda route: held.append(route))
    page.reload()
    page.locator("#prompt").press_sequentially("a cat")
    page.wait_for_timeout(200)
    assert page.locator("#easel").get_attribute("aria-busy") is None
    held[0].continue_()
    wait_until_painted(page)
    assert stored(page)["prompt"] == "a cat"
    page.unroute("**/api/config")


def test_starters_put_words_in_and_take_them_out(page: Page) -> None:
    page.get_by_role("button", name="a cat", exact=True).click()
    page.get_by_role("button", name="Place", exact=True).click()
    page.get_by_role("button", name="on a rooftop", exact=True).click()
    assert stored(page)["prompt"] == "a cat on a rooftop"
    page.get_by_role("button", name="on a beach", exact=True).click()
    assert stored(page)["prompt"] == "a cat on a beach"
    page.get_by_role("button", name="on a beach", exact=True).click()
    assert stored(page)["prompt"] == "a cat"
    expect(page.locator("#prompt")).to_be_focused()


def test_what_an_input_method_shows_is_not_painted_before_it_is_chosen(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    page.focus("#prompt")
    session.send("Input.imeSetComposition", {"text": "mao", "selectionStart": 3, "selectionEnd": 3})
    assert stored(page)["prompt"] == ""
    session.send("Input.insertText", {"text": "猫"})
    wait_until_painted(page)
    assert stored(page)["prompt"] == "猫"


def test_a_pause_is_remembered_and_returned_to(page: Page) -> None:
    cat = paint(page, "a cat")
    wait_for_state(page, "a cat")
    paint(page, "a lion")
    wait_for_state(page, "a lion")
    page.keyboard.press("Alt+BracketLeft")
    expect(page.locator("#prompt")).to_have_value("a cat")
    assert wait_until_painted(page) == cat
    page.locator("#history .state").nth(1).click()
    expect(page.locator("#prompt")).to_have_value("a lion")
    wait_until_painted(page)
    assert page.locator("#history .state").count() == 2


def test_a_reload_finds_prompt_picture_and_strip(page: Page) -> None:
    cat = paint(page, "a cat")
    wait_for_state(page, "a cat")
    page.wait_for_function("() => sessionStorage.getItem('allaprima.history')?.includes('a cat')")
    page.reload()
    expect(page.locator("#prompt")).to_have_value("a cat")
    assert wait_until_painted(page) == cat
    assert page.locator("#history .state").count() == 1

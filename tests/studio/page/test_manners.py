"""Keyboard, names for screen readers, small windows, a strict policy, and the page's pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect
from tests.studio.page.seen import paint

from allaprima.studio.server.app import STATIC

_NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, [role=img], a[href]")]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.ariaLabel || node.labels?.length || node.textContent.trim() || node.alt))
  .map((node) => node.outerHTML.slice(0, 120))"""


def test_letters_lead_to_the_prompt_from_anywhere(page: Page) -> None:
    page.focus("#open-gallery")
    page.keyboard.type("cat")
    expect(page.locator("#prompt")).to_have_value("cat")


@pytest.mark.parametrize("key", ["F1", "?"])
def test_help_shows_every_shortcut(page: Page, key: str) -> None:
    page.focus("#steps")
    page.keyboard.press(key)
    expect(page.locator("#help")).to_be_visible()
    assert page.locator("#shortcuts dt").count() >= 12
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_a_question_mark_can_be_typed(page: Page) -> None:
    page.locator("#prompt").press_sequentially("a cat?")
    expect(page.locator("#prompt")).to_have_value("a cat?")
    expect(page.locator("#help")).to_be_hidden()


@pytest.mark.parametrize(
    ("platform", "key", "control", "locks"),
    [
        ("Linux x86_64", "l", False, True),
        ("MacIntel", "ł", False, False),
        ("MacIntel", "Dead", False, False),
        ("MacIntel", "ł", True, True),
    ],
)
def test_what_option_writes_on_a_mac_is_left_to_the_prompt(
    page: Page, platform: str, key: str, control: bool, locks: bool
) -> None:
    _reload_on(page, platform)
    pressed = {"key": key, "code": "KeyL", "altKey": True, "ctrlKey": control}
    free = page.evaluate(
        """(pressed) => document.getElementById("prompt").dispatchEvent(
          new KeyboardEvent("keydown", { ...pressed, bubbles: true, cancelable: true }))""",
        pressed,
    )
    assert free is not locks
    expect(page.locator("#lock")).to_have_attribute("aria-pressed", str(locks).lower())


def test_a_mac_is_told_of_its_own_keys(page: Page) -> None:
    expect(page.locator("#save")).to_have_attribute("title", re.compile(r"\(Alt\+S\)"))
    _reload_on(page, "MacIntel")
    expect(page.locator("#save")).to_have_attribute("title", re.compile(r"\(Control\+Option\+S\)"))
    assert "Alt" not in page.locator("#shortcuts").inner_text()


def test_the_whole_page_can_be_reached_with_tab(page: Page) -> None:
    paint(page, "a cat")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id"))
    wanted = {
        "compare",
        "show-numbers",
        "open-gallery",
        "theme",
        "prompt",
        "keep",
        "guidance",
        "steps",
        "seed",
    }
    assert wanted - {"compare"} <= reached


def test_everything_has_a_name(page: Page) -> None:
    paint(page, "a cat")
    page.get_by_role("button", name="ink").click()
    assert page.evaluate(_NAMELESS) == []
    page.click("#open-gallery")
    assert page.evaluate(_NAMELESS) == []


def test_a_screen_reader_hears_the_picture_once_it_rests(page: Page) -> None:
    paint(page, "a cat")
    expect(page.locator("#announcer")).to_have_text("Painted: a cat")
    expect(page.locator("#picture")).to_have_attribute("aria-label", "Picture of: a cat")
    assert page.locator("#announcer").get_attribute("aria-live") == "polite"


def test_numbers_are_shown_on_demand(page: Page) -> None:
    expect(page.locator("#numbers")).to_be_hidden()
    paint(page, "a cat")
    page.keyboard.press("Alt+KeyN")
    expect(page.locator("#numbers")).to_contain_text("Frames a second")
    expect(page.locator("#numbers dd").nth(1)).to_have_text(re.compile(r"^[\d.]+ ms$"))


def test_the_theme_changes_and_is_remembered(page: Page) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_placeholders_can_be_read(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    color, opacity, ground = page.evaluate(
        """() => {
          const { color, opacity } = getComputedStyle(document.getElementById("prompt"), "::placeholder");
          return [color, Number(opacity), getComputedStyle(document.body).backgroundColor];
        }"""
    )
    ink, paper = ([int(part) for part in re.findall(r"\d+", one)[:3]] for one in (color, ground))
    seen = [opacity * i + (1 - opacity) * p for i, p in zip(ink, paper, strict=True)]
    low, high = sorted((_luminance(seen), _luminance(paper)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_tab_of_starters_is_whole(page: Page) -> None:
    tabs = page.locator("#starters").bounding_box()
    last = page.locator("#starters .tab").last.bounding_box()
    assert tabs is not None
    assert last is not None
    assert last["x"] + last["width"] <= tabs["x"] + tabs["width"]


@pytest.mark.parametrize("size", [(360, 640), (390, 844), (768, 1024), (1024, 600)])
def test_small_windows_show_picture_and_prompt_and_never_scroll_sideways(
    page: Page, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    paint(page, "a cat on a roof")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    for name in ("#picture", "#prompt"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1]
    page.keyboard.press("Alt+KeyP")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_the_page_keeps_its_own_policy() -> None:
    for path in STATIC.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), path.name
        assert all(re.search(r'\ssrc="static/', tag) for tag in re.findall(r"<script[^>]*>", text))
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|\beval\(|new Function|innerHTML", text), path.name


def test_a_page_that_broke_the_policy_would_be_caught(page: Page) -> None:
    blocked = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
          const image = document.createElement("img");
          image.src = "https://example.invalid/pixel.png";
          document.body.append(image);
        })"""
    )
    assert blocked == "img-src"


HINTS = [
    ("a beautiful cat", False, "beautiful"),
    ("Beautiful", False, "beautiful"),
    ("a beautifully lit cat", False, None),
    ("一只美丽的猫", False, "美丽"),
    ("一只猫", False, None),
    ("一只猫", True, "English"),
    ("a realistic cartoon", True, "two ways"),
    ("a cat on a roof", True, None),
]


def test_hints(page: Page) -> None:
    for prompt, english_only, told in HINTS:
        hint = _call(page, "hints.js", "hintFor", prompt, {"english_only": english_only})
        assert (hint is None) == (told is None), prompt
        assert told is None or told in hint["text"]


def test_frames_are_taken_apart_and_damaged_ones_refused(page: Page) -> None:
    answers = page.evaluate(
        """async () => {
          const { parseFrame } = await import("/static/live.js");
          const bytes = (...values) => new Uint8Array(values).buffer;
          const refused = [bytes(), bytes(0, 0), bytes(0, 0, 0, 9, 1)].map((buffer) => {
            try { parseFrame(buffer); return false; } catch { return true; }
          });
          const { header, jpeg } = parseFrame(bytes(0, 0, 0, 2, 123, 125, 255, 216));
          return { refused, header, jpeg: [...jpeg] };
        }"""
    )
    assert answers == {"refused": [True, True, True], "header": {}, "jpeg": [255, 216]}


def test_a_prompt_is_cut_where_the_server_would(page: Page) -> None:
    long = "q" + "😀" * 600
    assert _call(page, "state.js", "cleanText", long, 1000) == long
    assert _call(page, "state.js", "cleanText", long * 2, 1000) == (long * 2)[:1000]


def test_sizes_fit_the_base_and_the_cap(page: Page) -> None:
    caps = {"pixels": 2**22, "side": 4096}
    own = {"fixed_size": True, "width": 256, "height": 256}
    assert _call(page, "settings.js", "sizesOf", own, caps) == [[256, 256]]
    large = {"fixed_size": False, "width": 1024, "height": 1024}
    sizes = _call(page, "settings.js", "sizesOf", large, caps)
    assert [1024, 1024] in sizes
    assert [512, 512] in sizes
    assert all(side % 64 == 0 for size in sizes for side in size)
    assert len({tuple(size) for size in sizes}) == len(sizes)
    assert _call(page, "settings.js", "sizesOf", large, {**caps, "pixels": 2**18}) == [[512, 512]]


def _reload_on(page: Page, platform: str) -> None:
    page.add_init_script(f"Object.defineProperty(navigator, 'platform', {{ get: () => '{platform}' }})")
    page.reload()
    page.wait_for_selector("[data-status=open]", state="attached")


def _luminance(color: Sequence[float]) -> float:
    """The relative luminance of WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _call(page: Page, module: str, function: str, *given: object) -> Any:
    return page.evaluate(
        "async ([module, name, given]) => (await import(`/static/${module}`))[name](...given)",
        [module, function, list(given)],
    )

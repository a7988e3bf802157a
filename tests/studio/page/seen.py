"""What a person sees on the page, as values."""

from __future__ import annotations

from collections.abc import Mapping

from playwright.sync_api import Page

_PIXELS = """() => {
  const text = document.getElementById("picture").toDataURL();
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}"""


def wait_until_painted(page: Page) -> int:
    """Return a hash of the canvas once the newest prompt's finest picture is on it."""
    page.wait_for_selector('#easel[aria-busy="false"]')
    pixels: int = page.evaluate(_PIXELS)
    return pixels


def paint(page: Page, words: str) -> int:
    """Replace the prompt and return a hash of its picture."""
    page.fill("#prompt", words)
    return wait_until_painted(page)


def wait_for_state(page: Page, words: str) -> None:
    """Wait until the strip remembers `words`."""
    page.wait_for_selector(f'#history [title="{words}"]')


def keep(page: Page) -> None:
    """Keep what is seen and wait until it is in the gallery."""
    words = page.locator("#prompt").input_value()
    page.click("#keep")
    page.locator(".job", has=page.get_by_text(words, exact=True)).locator("a.button").wait_for()


def stored(page: Page) -> Mapping[str, object]:
    """Return the state as the page remembers it over a reload."""
    state: Mapping[str, object] = page.evaluate("() => JSON.parse(localStorage.getItem('allaprima.state'))")
    return state


def settings(page: Page) -> Mapping[str, object]:
    held = stored(page)["settings"]
    assert isinstance(held, dict)
    return held

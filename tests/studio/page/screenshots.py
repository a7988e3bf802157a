"""The guide's screenshots, taken of a studio that really paints.

python -m tests.studio.page.screenshots docs/images [--weights FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests.studio.page.running import RunningStudio, find_browser, open_browser, write_loras

from allaprima.studio.server.app import STATIC

SHIPPED = STATIC.parents[2] / "weights" / "vignette"
WORDS = ("a cat", "a cat on a rooftop", "a cat on a rooftop at sunset", "a lion on a rooftop at sunset")
VIEWS = (
    ("studio-light", "light", 1440, 900),
    ("studio-dark", "dark", 1440, 900),
    ("studio-narrow", "light", 390, 844),
)


def main() -> None:
    """Write the pictures and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    chosen = parser.parse_args()
    executable = find_browser()
    if executable is None:
        parser.error("there is no Chromium; expected one on PATH or in ALLAPRIMA_BROWSER")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        colors = {"ink-wash": (90, 88, 84), "paper-cut": (214, 126, 84), "stained-glass": (64, 108, 160)}
        loras = write_loras(folder / "loras", chosen.weights, colors)
        studio = RunningStudio(folder=folder / "gallery", weights=chosen.weights, loras=loras)
        with studio.open(), sync_playwright() as playwright:
            browser = open_browser(playwright, executable)
            for view, scheme, width, height in VIEWS:
                context = browser.new_context(
                    color_scheme="dark" if scheme == "dark" else "light",
                    viewport={"width": width, "height": height},
                    device_scale_factor=1 if width > 600 else 2,
                )
                page = context.new_page()
                page.goto(studio.url)
                _type(page)
                page.screenshot(path=chosen.folder / f"{view}.png")
                print(chosen.folder / f"{view}.png", flush=True)
                if view == "studio-light":
                    _show_gallery(page, chosen.folder / "studio-gallery.png")
                    _show_compare(page, chosen.folder / "studio-compare.png")
                context.close()
            browser.close()


def _type(page: Page) -> None:
    for words in WORDS:
        page.fill("#prompt", words)
        page.wait_for_selector(f'#history [title="{words}"]', timeout=120_000)


def _show_gallery(page: Page, path: Path) -> None:
    for number in range(len(WORDS)):
        page.locator("#history .state").nth(number).click()
        page.click("#keep")
        page.wait_for_selector(".job a.button", timeout=120_000)
        page.wait_for_selector(".job", state="detached", timeout=120_000)
    page.click("#open-gallery")
    page.wait_for_selector(f".kept:nth-child({len(WORDS)})")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path)
    page.keyboard.press("Escape")
    print(path, flush=True)


def _show_compare(page: Page, path: Path) -> None:
    page.click("#show-numbers")
    page.click("#compare")
    page.wait_for_timeout(400)
    page.screenshot(path=path)
    print(path, flush=True)


if __name__ == "__main__":
    main()

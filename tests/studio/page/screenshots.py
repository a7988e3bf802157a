"""The guide's screenshots, taken of a studio that really paints.

python -m tests.studio.page.screenshots docs/images [--weights FOLDER] [--lora-dir FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests.studio.page.running import RunningStudio, find_browser, open_browser

PATIENCE_MS = 120_000
_SET = "(range, value) => { range.value = value; range.dispatchEvent(new Event('input')); }"
CAT = ("a cat", "a cat on a rooftop", "a cat on a rooftop at sunset", "a lion on a rooftop at sunset")
NIGHT = ("two dogs", "two dogs on a beach", "two dogs on a beach at night")
CASTLE = ("a castle", "a castle in the mountains", "a castle in the mountains at dawn")
VIEWS = (
    ("studio-light", "light", 1440, 900, CAT),
    ("studio-dark", "dark", 1440, 900, NIGHT),
    ("studio-narrow", "light", 390, 780, CASTLE),
)


def main() -> None:
    """Write the pictures and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, help="Vignette's; default: those that ship")
    parser.add_argument("--lora-dir", type=Path, help="LoRAs on the shelf; default: none")
    parser.add_argument("--steps", type=int, default=4, help="as on the page, 1 to 8")
    parser.add_argument("--guidance", type=float, default=1.0, help="as on the page, 1 to 15")
    chosen = parser.parse_args()
    executable = find_browser()
    if executable is None:
        parser.error("there is no Chromium; expected one on PATH or in ALLAPRIMA_BROWSER")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loras = chosen.lora_dir or folder / "loras"
        loras.mkdir(parents=True, exist_ok=True)
        studio = RunningStudio(folder=folder / "gallery", weights=chosen.weights, loras=loras)
        with studio.open(), sync_playwright() as playwright:
            browser = open_browser(playwright, executable)
            for view, scheme, width, height, words in VIEWS:
                context = browser.new_context(
                    color_scheme="dark" if scheme == "dark" else "light",
                    viewport={"width": width, "height": height},
                    device_scale_factor=1 if width > 600 else 2,
                )
                page = context.new_page()
                page.goto(studio.url)
                _type(page, words, chosen.steps, chosen.guidance)
                _shoot(page, chosen.folder / f"{view}.png")
                if view == "studio-light":
                    _show_gallery(page, chosen.folder / "studio-gallery.png")
                    _show_compare(page, chosen.folder / "studio-compare.png")
                context.close()
            browser.close()


def _type(page: Page, states: tuple[str, ...], steps: int, guidance: float) -> None:
    page.locator("#steps").evaluate(_SET, str(steps))
    page.locator("#guidance").evaluate(_SET, str(guidance))
    for words in states:
        page.fill("#prompt", words)
        page.wait_for_selector('#easel[aria-busy="false"]', timeout=PATIENCE_MS)
        page.wait_for_selector(f'#history [title="{words}"]', timeout=PATIENCE_MS)


def _show_gallery(page: Page, path: Path) -> None:
    for state in page.locator("#history .state").all():
        state.click()
        page.click("#keep")
        page.wait_for_selector(".job a.button", timeout=PATIENCE_MS)
        page.wait_for_selector(".job", state="detached", timeout=PATIENCE_MS)
    page.click("#open-gallery")
    page.wait_for_selector(f".kept:nth-child({len(CAT)})")
    page.wait_for_load_state("networkidle")
    _shoot(page, path)
    page.keyboard.press("Escape")


def _show_compare(page: Page, path: Path) -> None:
    page.wait_for_selector('#easel[aria-busy="false"]', timeout=PATIENCE_MS)
    page.click("#compare")
    page.wait_for_timeout(500)
    _shoot(page, path)


def _shoot(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    page.screenshot(path=path)
    print(path, flush=True)


if __name__ == "__main__":
    main()

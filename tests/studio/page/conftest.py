"""A tiny Vignette behind a real server, and a fresh browser window for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, ViewportSize, sync_playwright
from tests.studio.page.running import RunningStudio, find_browser, open_browser, write_loras
from tests.tiny_vignette import write_tiny_vignette

WIDE: ViewportSize = {"width": 1280, "height": 800}
PATIENCE_MS = 20_000
PROVOKED = "example.invalid"
"""The one address that a test asks for, to see it refused."""


# Not for the session: Playwright keeps an event loop running in this thread, in which no other test can run its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    if executable is None:
        where = "there is no Chromium; install it, or name it in ALLAPRIMA_BROWSER"
        if os.environ.get("CI"):
            pytest.fail(where)
        pytest.skip(where)
    with sync_playwright() as playwright:
        opened = open_browser(playwright, executable)
        yield opened
        opened.close()


@pytest.fixture
def lone_page(browser: Browser) -> Iterator[Page]:
    """A window for a studio that the test opens and closes itself."""
    with browser.new_context(viewport=WIDE) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("tiny") / "vignette")


@pytest.fixture(scope="module")
def shared_studio(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Iterator[RunningStudio]:
    """An open studio for all tests that keep no pictures."""
    made = make_studio(tmp_path_factory.mktemp("shared"), tiny_weights)
    with made.open():
        yield made


@pytest.fixture
def studio(tmp_path: Path, tiny_weights: Path) -> RunningStudio:
    """A studio of the test's own, not open yet."""
    return make_studio(tmp_path, tiny_weights)


@pytest.fixture
def page(browser: Browser, shared_studio: RunningStudio) -> Iterator[Page]:
    """The page in a fresh window."""
    with window(browser, shared_studio) as opened:
        yield opened


@pytest.fixture
def own_page(browser: Browser, studio: RunningStudio) -> Iterator[Page]:
    """The page of a studio with an empty gallery."""
    with studio.open(), window(browser, studio) as opened:
        yield opened


def make_studio(folder: Path, weights: Path) -> RunningStudio:
    colors = {"ink": (40, 40, 40), "sun": (240, 180, 40), "torn": (90, 20, 20)}
    loras = write_loras(folder / "loras", weights, colors)
    return RunningStudio(folder=folder / "gallery", weights=weights, loras=loras)


@contextmanager
def window(browser: Browser, studio: RunningStudio) -> Iterator[Page]:
    """Open the page; in the end it must have called nobody else and complained of nothing."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    asked: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and PROVOKED not in message.text:
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(str(error))

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("console", hear)
    page.on("pageerror", fail)
    page.on("request", note)
    page.goto(studio.url)
    page.wait_for_selector("[data-status=open]", state="attached")
    yield page
    context.close()
    hosts = {
        urlsplit(url).netloc
        for url in asked
        if not url.startswith(("blob:", "data:")) and PROVOKED not in url
    }
    assert hosts == {f"127.0.0.1:{studio.port}"}
    assert complaints == []

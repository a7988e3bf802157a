"""Fifty pairs rated by keyboard in a browser, and a program that is killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page
from tests.studio.rating.folders_of_colors import write_folders

PAIRS = 50
MAIN = "from allaprima.cli.app import main; main()"
_GREENER = """() => {
  const green = (id) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d");
    context.drawImage(document.getElementById(id), 0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data[1];
  };
  return green("left") > green("right") ? "ArrowLeft" : "ArrowRight";
}"""
"""The key for the green picture, as a person sees which that is."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folders(tmp_path, PAIRS)
    return tmp_path


@contextmanager
def rating(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command and yield it with its address."""
    command = [sys.executable, "-c", MAIN, "rate", "better", "worse", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as ran:
        assert ran.stdout is not None
        found = re.match(r"Rate at (http://127\.0\.0\.1:\d+); ", ran.stdout.readline())
        assert found, ran.stderr.read() if ran.stderr else ""
        try:
            yield ran, found[1]
        finally:
            ran.kill()


def press(page: Page, key: str) -> None:
    """Press a key and wait until another pair, or the end, is shown."""
    before = page.get_attribute("#rating", "data-pair")
    page.keyboard.press(key)
    page.wait_for_function(
        "(before) => document.getElementById('rating').hidden ||"
        " document.getElementById('rating').dataset.pair !== before",
        arg=before,
    )


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#rating[data-pair]")


def test_fifty_pairs_by_keyboard(folder: Path, lone_page: Page) -> None:
    """Forty for the green one, four against it, six ties; one of them taken back and given again."""
    page = lone_page
    with rating(folder) as (ran, address):
        open_page(page, address)
        assert page.locator("#prompt").inner_text().startswith("a cat number ")
        other = {"ArrowLeft": "ArrowRight", "ArrowRight": "ArrowLeft"}
        for number in range(PAIRS):
            key = page.evaluate(_GREENER)
            if number == 10:  # a slip, taken back
                press(page, other[key])
                press(page, "Backspace")
                assert page.evaluate(_GREENER) == key
            press(page, "ArrowDown" if number % 8 == 7 else other[key] if number % 12 == 1 else key)
        page.wait_for_selector("#end", state="visible")
        assert page.locator("#verdict").inner_text() == "better is preferred."
        assert "39, 6, 5" in page.locator("#standings").inner_text()
        page.keyboard.press("f")
        out, err = ran.communicate(timeout=20)
    assert ran.returncode == 0, err
    line = json.loads(out.splitlines()[-1])
    best = line["standings"][0]
    assert (best["name"], best["wins"], best["ties"], best["losses"]) == ("better", 39, 6, 5)
    assert best["score"]["value"] == pytest.approx(100 * 42.5 / 51)
    assert line["votes"] == line["pairs"] == PAIRS


def test_a_killed_program_has_lost_no_vote(folder: Path, lone_page: Page) -> None:
    with rating(folder) as (ran, address):
        open_page(lone_page, address)
        for _ in range(7):
            press(lone_page, lone_page.evaluate(_GREENER))
        os.kill(ran.pid, signal.SIGKILL)
        ran.wait(20)
        lone_page.keyboard.press("ArrowLeft")
        lone_page.wait_for_function("() => document.getElementById('said').textContent.includes('not saved')")
    with rating(folder) as (_, address):
        open_page(lone_page, address)
        assert lone_page.locator("#count").inner_text() == f"7 of {PAIRS}"

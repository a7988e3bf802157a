"""The wardrobe: accessories that no icon set draws as they are worn, as SVG in the look of each style."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from PIL import Image

from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import rasterise, trim
from allaprima.paint.layout.vocabulary import Accessory

# Colours by role: a main, b its shade, c a contrast, d and f its shades, s the outline; `main` is a with s.
_SHAPES: Final[dict[Accessory, str]] = {
    "party hat": (
        '<path d="M50 16 86 90Q50 103 14 90Z" {main}/>'
        '<path d="M43 31 57 31 64 46Q50 51 36 46ZM28 62Q50 70 72 62L79 77Q50 87 21 77Z" fill="{c}"/>'
        '<circle cx="50" cy="14" r="12" fill="{c}" stroke="{s}"/>'
    ),
    "bow tie": (
        '<path d="M50 50 14 27Q4 50 14 73ZM50 50 86 27Q96 50 86 73Z" {main}/>'
        '<path d="M45 50 20 42V58ZM55 50 80 42V58Z" fill="{b}"/>'
        '<rect x="39" y="38" width="22" height="24" rx="8" {main}/>'
    ),
    "scarf": (
        '<path d="M58 42 84 38 87 74 61 78Z" fill="{b}" stroke="{s}" stroke-linejoin="round"/>'
        '<path d="M60 61 86 58 87 66 60 69Z" fill="{c}"/>'
        '<path d="M64 78V86M70 77V85M76 76V84M83 75V83" stroke="{f}" stroke-width="3.4" stroke-linecap="round"/>'
        '<path d="M5 16Q50 38 95 16Q102 34 92 46Q50 68 8 46Q-2 34 5 16Z" {main}/>'
        '<path d="M22 23 33 26 33 57 22 53ZM67 26 78 23 78 53 67 57Z" fill="{c}"/>'
    ),
    "headphones": (
        '<path d="M11 66C6 -18 94 -18 89 66" fill="none" stroke="{f}" stroke-width="11"/>'
        '<path d="M13 60C10 -13 90 -13 87 60" fill="none" stroke="{d}" stroke-width="4"/>'
        '<rect x="2" y="48" width="22" height="46" rx="11" {main}/>'
        '<rect x="76" y="48" width="22" height="46" rx="11" {main}/>'
        '<rect x="17" y="52" width="10" height="38" rx="5" fill="{f}"/>'
        '<rect x="73" y="52" width="10" height="38" rx="5" fill="{f}"/>'
    ),
}
_COLORS: Final[dict[Accessory, tuple[tuple[str, str], tuple[str, str]]]] = {
    "party hat": (("#ff6fae", "#a63fd8"), ("#ffd84d", "#f4a91f")),
    "bow tie": (("#ff5a5f", "#b3154a"), ("#ff8f8f", "#d93a5c")),
    "scarf": (("#ff4f57", "#c2185b"), ("#ffe9d6", "#f5c9b0")),
    "headphones": (("#35c9f0", "#2a62d9"), ("#7d869c", "#565e76")),
}
"""Main colour and contrast, each with its shade."""


def sewn(accessory: Accessory) -> bool:
    """Return whether this accessory is drawn here rather than by an icon."""
    return accessory in _SHAPES


@lru_cache(maxsize=16)
def garment(accessory: Accessory, style: Style) -> Image.Image:
    """Return an accessory of the wardrobe in a style, RGBA, trimmed. Do not change it."""
    main, contrast = _COLORS[accessory]
    defs, stroke = "", ""
    if style == "line":
        white, black = "#ffffff", "#000000"
        colors = {"a": white, "b": black, "c": black, "d": white, "s": black, "f": black}
        stroke = ' stroke-width="6"'
    else:
        colors = {
            "a": main[0],
            "b": main[1],
            "c": contrast[0],
            "d": contrast[0],
            "s": "none",
            "f": contrast[1],
        }
        if style != "flat":
            defs = "<defs>" + _gradient("A", *main) + _gradient("C", *contrast) + "</defs>"
            colors |= {"a": "url(#A)", "c": "url(#C)"}
    colors["main"] = f'fill="{colors["a"]}" stroke="{colors["s"]}" stroke-linejoin="round"'
    shapes = _SHAPES[accessory].format_map(colors)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 108 108">{defs}<g{stroke}>{shapes}</g></svg>'
    )
    return trim(rasterise(svg))


def _gradient(name: str, light: str, dark: str) -> str:
    return (
        f'<linearGradient id="{name}" x1="0.2" y1="0" x2="0.8" y2="1">'
        f'<stop stop-color="{light}"/><stop offset="1" stop-color="{dark}"/></linearGradient>'
    )

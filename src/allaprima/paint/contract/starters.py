"""Words to begin a prompt with, for bases that paint nearly everything.

They follow the order that models answer to best: subject, place, light, style.
"""

from __future__ import annotations

from collections.abc import Mapping

STARTERS: Mapping[str, tuple[str, ...]] = {
    "Subject": (
        "a vintage robot", "a glass vase, cracked surface", "a mountain lake", "portrait of a woman, laughing",
        "a lighthouse", "a fox", "a bowl of ramen",
    ),
    "Place": (
        "in a rainy Tokyo alley", "on a rooftop", "in a pine forest", "in a quiet library", "on a windy cliff",
        "minimalist background",
    ),
    "Light": (
        "dawn light", "golden hour", "neon reflections", "studio softbox", "moonlight", "refracting sunlight",
    ),
    "Style": (
        "cinematic lighting, synthwave", "steampunk, brass and steam", "watercolor on paper", "ink wash painting",
        "oil on canvas", "studio photo", "shallow depth of field, Kodak Portra 400",
    ),
}  # fmt: skip
"""Phrases by their kind."""

"""Prompts to try a base with, where nobody brings others: things that every base here has learned to paint."""

from __future__ import annotations

from typing import Final

SAMPLE_PROMPTS: Final = (
    "a cat on a rooftop at sunset",
    "a lion on the beach, at night",
    "two penguins in the snow",
    "a woman with glasses in a city in the rain",
    "a red bus in the city at dawn",
    "a castle in the mountains",
    "a fox in the desert",
    "a panda in a forest in the morning",
    "a dog with a hat in the park",
    "three apples on a table",
    "a sailboat on the sea at sunset",
    "an old man with a beard in a library",
    "a rabbit and a fox in a meadow",
    "a rocket in space",
    "a tree in the snow at night",
    "a girl with red hair on the beach",
    "a cup of coffee in a kitchen",
    "an owl in a forest at night",
    "a bicycle in front of a house",
    "an elephant in the desert at dawn",
    "a train in the mountains",
    "a man with sunglasses on a rooftop",
    "a flower in the rain",
    "a horse on a farm at sunset",
)
"""Short, concrete and varied: things and people, one and several, places, hours and weathers."""


def sample_prompts(count: int) -> list[str]:
    """Return `count` prompts: the list again and again, for pictures whose seeds differ."""
    return [SAMPLE_PROMPTS[number % len(SAMPLE_PROMPTS)] for number in range(count)]

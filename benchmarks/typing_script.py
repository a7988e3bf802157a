"""What a person types at a live session: words, slips and corrections, at a steady twelve keystrokes a second."""

from __future__ import annotations

import random
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

KEYSTROKES_PER_SECOND = 12.0
_SENTENCES = (
    ("a cat on a rooftop at sunset", "cat", "lion"),
    ("a red bus in a city at night in the rain", "bus", "taxi"),
    ("a woman with glasses and a hat in a forest", "hat", "scarf"),
    ("two penguins on a beach at dawn", "penguins", "foxes"),
    ("an owl wearing a crown in the snow", "owl", "dragon"),
)
_SLIP = 0.05  # of the letters; each is seen and taken back


def type_text(keystrokes: int, seed: int = 0) -> Iterator[str]:
    """Yield the whole text after each of so many keystrokes; the same for the same seed."""
    source = random.Random(seed)
    texts = _type_for_ever(source)
    for _ in range(keystrokes):
        yield next(texts)


def _type_for_ever(source: random.Random) -> Iterator[str]:
    while True:
        sentence, word, instead = source.choice(_SENTENCES)
        yield from _type_on("", sentence, source)
        start = sentence.index(word) + len(word)
        head, tail = sentence[:start], sentence[start:]
        for length in range(1, len(word) + 1):
            yield head[: len(head) - length] + tail
        head = head[: len(head) - len(word)]
        for typed in _type_on(head, instead, source):
            yield typed + tail
        text = head + instead + tail
        for length in range(len(text) - 1, 0, -4):  # a held key repeats
            yield text[:length]


def _type_on(text: str, more: str, source: random.Random) -> Iterator[str]:
    for letter in more:
        if letter != " " and source.random() < _SLIP:
            yield text + source.choice("qxzj")
            yield text
        text += letter
        yield text


def pace(texts: Sequence[str], send: Callable[[int, str], None], delay_s: float = 0.0) -> dict[int, float]:
    """Send each text with its number from 1 on, a keystroke's time apart; return when each was sent."""
    sent: dict[int, float] = {}
    begun = time.perf_counter() + delay_s
    for number, text in enumerate(texts, start=1):
        time.sleep(max(0.0, begun + (number - 1) / KEYSTROKES_PER_SECOND - time.perf_counter()))
        sent[number] = time.perf_counter()
        send(number, text)
    return sent


def answer_ms(sent: Mapping[int, float], came: Sequence[tuple[float, int]]) -> list[float]:
    """Return, for each keystroke, the milliseconds until a frame of it or of a later one came; inf if none did.

    Args:
        sent: number of a keystroke to the moment it was sent.
        came: moment and number of each frame, in order of time; numbers never fall.
    """
    numbers = [number for _, number in came]
    waits = []
    for number, moment in sent.items():
        at = bisect_left(numbers, number)
        waits.append(1e3 * (came[at][0] - moment) if at < len(came) else float("inf"))
    return waits


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which `percent` of a hundred lie."""
    if len(values) < 2:
        return values[0]
    ordered = sorted(values)
    return ordered[-1] if percent >= 100 else statistics.quantiles(ordered, n=100)[percent - 1]

"""A person at the live socket who waits for each picture: how long from a word to its first frame."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from websockets.sync.client import connect

from allaprima.studio.server.live_messages import unpack_frame

THINGS = ("cat", "dog", "boat", "tower", "rose", "horse", "lamp", "bridge", "owl", "tree")


def frame_times_ms(url: str, frames: int, settings: Mapping[str, Any]) -> list[float]:
    """Return the milliseconds from each of so many prompts, none like another, to its first frame."""
    times = []
    address = url.replace("http", "ws", 1) + "/live"
    with connect(address, proxy=None, max_size=None) as live:
        for number in range(1, frames + 1):
            prompt = f"a {THINGS[number % len(THINGS)]} and {number} clouds"
            begun = time.perf_counter()
            live.send(json.dumps({"sequence": number, "prompt": prompt, "settings": dict(settings)}))
            while True:
                message = live.recv(timeout=60)
                if isinstance(message, str):
                    raise RuntimeError(f"got {message}; expected a frame")
                if unpack_frame(message)[0]["sequence"] == number:
                    break
            times.append(1e3 * (time.perf_counter() - begun))
    return times

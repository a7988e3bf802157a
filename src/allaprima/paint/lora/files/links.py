"""Which links in a folder of LoRAs are followed: those inside it, and those into a cache of the hub.

`hf download owner/lora` leaves `snapshots/COMMIT/x.safetensors`, a link to `../../blobs/SHA`. Whoever makes a folder
of links to such files means them; any other link out of the folder could lead anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path


def leads_out(path: Path, home: Path) -> bool:
    """Return whether `path`, its links followed, is neither inside `home` nor in a cache of the hub."""
    # Not Path.resolve, to which a link to itself is an error of another kind.
    real, inside = Path(os.path.realpath(path)), Path(os.path.realpath(home))
    return not (real.is_relative_to(inside) or _is_cached(real, inside))


def _is_cached(real: Path, inside: Path) -> bool:
    """Return whether `real` belongs to a repository of the hub's cache, or of the one that `inside` lies in."""
    repository = next((parent for parent in real.parents if parent.name.startswith("models--")), None)
    if repository is None or not real.is_relative_to(repository):
        return False
    if real.relative_to(repository).parts[0] not in ("blobs", "snapshots"):
        return False
    return inside.is_relative_to(repository) or repository.parent == Path(os.path.realpath(_cache()))


def _cache() -> Path:
    """Return where the hub's cache is."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)

"""The hash by which sites and managers know a checkpoint: the SHA-256 of its file, as A1111 writes it into pictures.

    known = ModelHash(Path("models/checkpoints/sd_xl_base_1.0.safetensors"), kept=default_cache_dir() / FILE)
    known.get(wait=True)                              # "31e35c80fc"

A file of seven gigabytes takes seconds, so it is read in a thread of its own while the base is loaded, once: a small
file of JSON keeps what was found by the checkpoint's name, size and time of change.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from pathlib import Path

from allaprima.core.errors import OutputError
from allaprima.core.files import make_folder, write_whole

FILE = "model-hashes.json"
DIGITS = 10
"""How many A1111 shows."""
MAX_KEPT = 1000


class ModelHash:
    """The hash of one checkpoint's file, which is begun at once.

    Args:
        path: of the checkpoint.
        kept: the file of hashes that are known already; it need not exist.
    """

    def __init__(self, path: Path, *, kept: Path) -> None:
        self._path = path
        self._kept = kept
        self._digits: str | None = None
        self._thread = threading.Thread(target=self._find, name="model hash", daemon=True)
        self._thread.start()

    def get(self, *, wait: bool) -> str | None:
        """Return the hash's first digits; None if there is none, or none yet and nobody shall `wait`."""
        if wait:
            self._thread.join()
        return self._digits

    def _find(self) -> None:
        with suppress(
            OSError, OutputError
        ):  # a picture does without, and so does a cache that cannot be written
            status = self._path.stat()
            key = f"{self._path.name} {status.st_size} {status.st_mtime_ns}"
            known = _read(self._kept)
            if key not in known:
                with self._path.open("rb") as file:
                    known[key] = hashlib.file_digest(file, "sha256").hexdigest()
                self._digits = known[key][:DIGITS]
                make_folder(self._kept.parent)
                newest = dict([*known.items()][-MAX_KEPT:])
                write_whole(self._kept, json.dumps(newest, indent=1).encode(), overwrite=True)
            self._digits = known[key][:DIGITS]


def _read(kept: Path) -> dict[str, str]:
    """Return the hashes by checkpoint; none from a file that is not there or was changed by hand."""
    try:
        data = json.loads(kept.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    known = data.items() if isinstance(data, dict) else ()
    return {key: digits for key, digits in known if isinstance(digits, str) and len(digits) == 64}

"""Where report cards lie: writer and server must agree, and names of LoRAs hold more than names of files may."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

REPORTS = Path("reports")
"""The usual folder."""
_MAX_BYTES = 160  # file systems take 255, and an ending and a digest follow


def report_path(folder: Path, name: str, suffix: str = ".html") -> Path:
    """Return the file of the report on a LoRA or base of that name, whatever letters the name is made of."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-").encode()[:_MAX_BYTES].decode(errors="ignore")
    if stem != name or not stem:  # another name may come to the same letters
        stem = f"{stem}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return folder / f"{stem}{suffix}"

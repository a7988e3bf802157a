"""What a base is called in pictures and answers: never by the way to it, which names folders and perhaps a person."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

_ENDINGS = (".safetensors", ".gguf", ".sft")
_SNAPSHOT = re.compile(r"models--(.+?)--(.+)/snapshots/[^/]+$")


def shown_name(spec: str) -> str:
    """Return the name for a base that was asked for as `spec`.

    Of a path that is the last part without its ending, and of a folder in the hub's cache the model's id. Names in a
    folder of models and ids stay as they are.
    """
    slashed = spec.replace("\\", "/").rstrip("/")
    is_path = spec.startswith(("~", "./", "../", ".\\", "..\\")) or PurePosixPath(spec).is_absolute()
    if not (is_path or PureWindowsPath(spec).drive):
        return spec
    if snapshot := _SNAPSHOT.search(slashed):
        return f"{snapshot[1]}/{snapshot[2]}"
    name = PurePosixPath(slashed).name
    ending = next((ending for ending in _ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)] or name or "base"

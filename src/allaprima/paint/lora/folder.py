"""The folder of LoRAs, at the address it had in 0.1.0; see `moved_names`."""

from __future__ import annotations

from allaprima.core.moved_names import find_moved

_HOME = "allaprima.paint.lora.files.folder"

__getattr__ = find_moved(__name__, {"LoraFile": _HOME, "LoraFolder": _HOME})

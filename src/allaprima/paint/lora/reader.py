"""The reader of LoRA files, at the address it had in 0.1.0; see `moved_names`."""

from __future__ import annotations

from allaprima.core.moved_names import find_moved

_HOME = "allaprima.paint.lora.files.reader"

__getattr__ = find_moved(__name__, {"LoraReader": _HOME, "read_lora": _HOME})

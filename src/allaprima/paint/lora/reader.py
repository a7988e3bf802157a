"""The reader of LoRA files, at the address it had in 0.1.0, for scripts that import it from there."""

from allaprima.paint.lora.files.reader import LoraReader

__all__ = ["LoraReader"]

"""The folder of LoRAs, at the address it had in 0.1.0, for scripts that import it from there."""

from allaprima.paint.lora.files.folder import LoraFile, LoraFolder

__all__ = ["LoraFile", "LoraFolder"]

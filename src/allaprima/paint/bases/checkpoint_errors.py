"""The errors that the libraries raise on a damaged checkpoint, which are nearly all."""

from __future__ import annotations

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, RuntimeError,
    SafetensorError, StrictDataclassError, TypeError, ValueError,
)  # fmt: skip


def in_one_line(error: Exception) -> str:
    """Return the message of `error` on one line, short enough for a sentence."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")

"""The errors this package raises on purpose.

Every message says what was got, what was expected and, where it helps, what to do.
"""

from __future__ import annotations


class AllaPrimaError(Exception):
    """Anything this package reports in a sentence rather than in a traceback."""


class UserError(AllaPrimaError, ValueError):
    """What was asked cannot be done as asked; the command exits with 2, for all others with 1.

    Args:
        message: what was got, what was expected, what to do.
        field: the field of a request that is to blame, under its own name; None where it is none, or several.
    """

    def __init__(self, *message: object, field: str | None = None) -> None:
        super().__init__(*message)
        self.field = field


class RequestError(UserError):
    """A request holds a value that no picture can be painted from."""


class WeightsError(UserError):
    """A weight file is missing, damaged or made for something else."""


class LoraError(UserError):
    """A LoRA cannot be used: its name, its file, or the base it was made for is not right."""


class OutOfMemoryError(UserError):
    """A picture needs more memory than there is, or than was allowed."""


class OutputError(UserError):
    """A result cannot be written where it was asked for."""


class PictureError(UserError):
    """A picture file cannot be read, or holds no request."""


class AssetError(UserError):
    """A drawing, font or table that the renderer needs is missing or damaged."""


class BusyError(AllaPrimaError):
    """The studio cannot take on more now; the same may succeed later."""


class PaintError(AllaPrimaError):
    """Painting went wrong although the request was sound."""

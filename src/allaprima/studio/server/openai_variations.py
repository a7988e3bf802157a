"""What OpenAI's clients send for variations of a picture: no words, so those that the picture carries are painted.

A picture that was painted here, or by a program that writes A1111's infotext, carries them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from allaprima.core.errors import PictureError
from allaprima.core.picture_files import import_picture
from allaprima.studio.server.errors import ProblemError

STRENGTH = 0.6
"""How much of the picture is painted over where nobody says: what it shows stays, how it shows it changes."""


def variation_fields(picture: bytes) -> dict[str, Any]:
    """Return the fields of a body of `edits` that stand for variations of the picture file `picture`.

    Raises:
        ProblemError: the picture carries no words.
    """
    try:
        request = import_picture(picture, "the picture").request
    except PictureError as error:
        message = (
            f"nothing here is painted without words: {error}. Send a prompt beside the picture, or POST both to "
            "/v1/images/edits"
        )
        raise ProblemError(400, message, code="no_words", param="prompt") from None
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "loras": [asdict(use) for use in request.loras],
        "strength": STRENGTH,
    }

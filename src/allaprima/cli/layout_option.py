"""`--layout`: what stands where, as JSON on the command line or in a file."""

from __future__ import annotations

from pathlib import Path

from allaprima.core.errors import RequestError
from allaprima.core.layout import Layout
from allaprima.core.layout_json import FIELD, layout_from_text
from allaprima.core.user_paths import expand, is_file

MAX_BYTES = 2**20


def open_layout(text: str) -> Layout:
    """Return the layout that a person has typed, or that lies in the file of that name.

    Raises:
        RequestError: there is no such file, or it holds no layout.
    """
    if text.lstrip().startswith(("[", "{")):
        return layout_from_text(text)
    path = expand(Path(text))
    if not is_file(path):
        raise RequestError(
            f"got the layout {text[:80]!r}; expected a file with a JSON list of things, or that list itself",
            field=FIELD,
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RequestError(f"got {path} of more than {MAX_BYTES:,} bytes; expected a layout", field=FIELD)
        return layout_from_text(data.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"the layout {path} cannot be read: {error}; expected JSON text", field=FIELD
        ) from None
    except RequestError as error:
        raise RequestError(f"of {path}: {error}", field=FIELD) from None

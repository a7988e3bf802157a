"""Pointers that git leaves in place of large files where git-lfs is not installed: three lines of text."""

from __future__ import annotations

from pathlib import Path

from allaprima.core.errors import WeightsError

_BEGINS = b"version https://git-lfs"


def refuse_lfs_pointer(path: Path) -> None:
    """Raise WeightsError if the file is a pointer; one that cannot be read is its reader's to refuse."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_BEGINS))
    except OSError:
        return
    if start == _BEGINS:
        raise WeightsError(
            f"{path} is a pointer of git-lfs and not the file itself, for the model was cloned without git-lfs; "
            "install it and run `git lfs pull` there, or fetch the model with `prima pull`"
        )

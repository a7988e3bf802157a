"""The folders of pictures that are rated: what has the same name in all of them is compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.errors import PictureError, UserError
from allaprima.core.picture_files import read_request

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff"})
"""The endings of files that are taken for pictures."""


@dataclass(frozen=True, kw_only=True)
class RatedFolder:
    """One folder of pictures, under the name that the results have for it."""

    name: str
    """As it was given on the command line: a folder or a specification."""
    pictures: Mapping[str, Path]
    """The files by their names without an ending."""


def read_folder(name: str, path: Path) -> RatedFolder:
    """Return the pictures in the folder at `path`; files that are no pictures by their ending do not count.

    Raises:
        UserError: it is no folder, has no picture, or two that differ in their endings alone.
    """
    if not path.is_dir():
        raise UserError(f"got {str(path)[:200]}, which is no folder; expected a folder of pictures")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    pictures: dict[str, Path] = {}
    for file in files:
        if file.name.startswith("."):
            continue
        if other := pictures.get(file.stem):
            raise UserError(f"got {other.name} and {file.name} in {path}; expected one picture of each name")
        pictures[file.stem] = file
    if not pictures:
        raise UserError(
            f"got the folder {path} without a picture; expected some of {', '.join(sorted(SUFFIXES))}"
        )
    return RatedFolder(name=name, pictures=pictures)


def common_pictures(folders: Sequence[RatedFolder]) -> tuple[list[str], int]:
    """Return the names of the pictures that all folders have, in order, and how many others there are.

    Raises:
        UserError: there are fewer than two folders, two of one name, or no picture that all have.
    """
    if len(folders) < 2:
        raise UserError(f"got {len(folders)} to rate; expected at least two folders or specifications")
    names = [folder.name for folder in folders]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"got {twice[:100]!r} twice; expected folders or specifications that differ")
    shared = set.intersection(*(set(folder.pictures) for folder in folders))
    if not shared:
        raise UserError(
            f"got no picture that is in all of {', '.join(names)[:300]}; expected files of the same names"
        )
    every = set.union(*(set(folder.pictures) for folder in folders))
    return sorted(shared), len(every) - len(shared)


def digest_of(folders: Sequence[RatedFolder], pictures: Sequence[str]) -> str:
    """Return a digest of the bytes of all `pictures`: votes on others are not to be mixed with these."""
    digest = hashlib.sha256()
    for name in pictures:
        for folder in folders:
            digest.update(hashlib.sha256(folder.pictures[name].read_bytes()).digest())
    return digest.hexdigest()[:16]


def find_prompt(folders: Sequence[RatedFolder], picture: str) -> str | None:
    """Return what the pictures of that name were painted from, None if they do not say so alike."""
    prompts = set()
    for folder in folders:
        try:
            prompts.add(read_request(folder.pictures[picture]).prompt)
        except PictureError:
            return None
    return prompts.pop() if len(prompts) == 1 else None

"""The pictures to learn from, and the words that go with each: no torch, so mistakes are told at once.

    found = find_pictures([Path("photos"), Path("one-more.png")])
    captioned = caption(found, name="anna", said=None, trigger="anna")

Words come from one text for all or a file of captions (:mod:`.caption_files`), else from `NAME.txt` beside a picture,
as kohya's scripts want them, else the trigger word stands alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.errors import UserError
from allaprima.core.picture_kinds import EXPECTED
from allaprima.core.picture_opening import picture_size, read_picture_file
from allaprima.core.request import MAX_PROMPT_CHARS
from allaprima.lab.lora.caption_files import METADATA, Entries, find_caption_file, read_entries, read_text

MAX_PICTURES = 10_000
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})
"""How the pictures of a folder end; a file that is named itself may end as it likes."""
_BESIDE = frozenset({".txt", ".json", ".jsonl", ".npz", ".safetensors", ".caption"})
"""What trainers keep beside pictures, so that nobody has to be told that it is none."""


@dataclass(frozen=True, kw_only=True)
class FoundPictures:
    """Picture files, each once, and the caption files of the folders they are from."""

    paths: tuple[Path, ...]
    metadata: tuple[Path, ...] = ()
    """Each folder's metadata.jsonl, where there is one."""
    remarks: tuple[str, ...] = ()
    """What was left out, a sentence each."""


@dataclass(frozen=True, kw_only=True)
class CaptionedPictures:
    """Picture files and what each shows."""

    paths: tuple[Path, ...]
    captions: tuple[str, ...]
    """One a picture."""
    trigger_words: tuple[str, ...] = ()
    """What a prompt calls them by."""
    remarks: tuple[str, ...] = ()
    """What a person should know, a sentence each."""

    def digest(self) -> str:
        """Return a SHA-256 of all pictures' bytes and captions, by which a training knows them again."""
        digest = hashlib.sha256()
        for path, caption in zip(self.paths, self.captions, strict=True):
            digest.update(hashlib.sha256(read_picture_file(path)).digest())
            digest.update(hashlib.sha256(caption.encode()).digest())
        return digest.hexdigest()


def find_pictures(given: Sequence[Path]) -> FoundPictures:
    """Return the pictures among files and in folders, those below them too, in the order of their names.

    Raises:
        UserError: there are none, or too many.
        PictureError: one is missing, no picture, or too large.
    """
    paths: dict[Path, Path] = {}
    metadata, others = list[Path](), list[Path]()
    for one in given:
        if not one.is_dir():
            paths.setdefault(one.resolve(), one)
            continue
        for path in _files_below(one):
            if path.suffix.lower() in SUFFIXES:
                paths.setdefault(path.resolve(), path)
            elif path.name == METADATA:
                metadata.append(path)
            elif path.suffix.lower() not in _BESIDE:
                others.append(path)
    if not 1 <= len(paths) <= MAX_PICTURES:
        where = ", ".join(map(str, given))[:200]
        raise UserError(f"got {len(paths)} pictures in {where}; expected 1 to {MAX_PICTURES:,}")
    for path in paths.values():
        picture_size_of(path)
    remarks = (
        (f"left out {len(others)} files, such as {others[0].name}; expected {EXPECTED}",) if others else ()
    )
    return FoundPictures(paths=tuple(paths.values()), metadata=tuple(metadata), remarks=remarks)


def picture_size_of(path: Path) -> tuple[int, int]:
    """Return width and height as the header states them; PictureError, with the file's name, if it cannot be read."""
    data = read_picture_file(path)
    try:
        return picture_size(data)
    except UserError as error:
        raise type(error)(f"{path} cannot be read: {error}") from error


def caption(found: FoundPictures, *, name: str, said: str | None, trigger: str | None) -> CaptionedPictures:
    """Return the pictures with their captions.

    Args:
        found: the pictures.
        name: the LoRA's, which stands in for a caption where nothing else does.
        said: one text for all, or the path of a file with it (.txt) or with many captions (.json, .jsonl).
        trigger: a word that every caption is to hold; it is put in front of those that do not.

    Raises:
        UserError: a file of captions cannot be read or names a picture that is not there, or a caption is too long.
    """
    entries, remarks = Entries(), list(found.remarks)
    file = None if said is None else find_caption_file(said)
    text = said if file is None else read_text(file) if file.suffix.lower() == ".txt" else None
    for one in [] if text else found.metadata if file is None else [file]:
        entries = entries | read_entries(one, found.paths)
    text = " ".join((text or "").split())
    captions = [text or entries.find(path) or _text_beside(path) for path in found.paths]
    missing = captions.count("")
    word = trigger or (name if missing else None)
    if missing and trigger is None:
        remarks.append(
            f"{missing} of {len(captions)} pictures have no caption and no --trigger was given: {name!r} names "
            "what they show"
        )
    elif missing and missing < len(captions):
        remarks.append(
            f"{missing} of {len(captions)} pictures have no caption: the trigger word stands alone"
        )
    captions = [_with_trigger(one, word if one == "" else trigger) for one in captions]
    for path, words in zip(found.paths, captions, strict=True):
        if len(words) > MAX_PROMPT_CHARS:
            raise UserError(
                f"got a caption of {len(words):,} characters for {path.name}; expected at most {MAX_PROMPT_CHARS:,}"
            )
    return CaptionedPictures(
        paths=found.paths, captions=tuple(captions), trigger_words=(word,) if word else (), remarks=tuple(remarks)
    )  # fmt: skip


def _files_below(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _text_beside(path: Path) -> str:
    """Return the caption in `NAME.txt` beside a picture, or nothing."""
    beside = path.with_suffix(".txt")
    return " ".join(read_text(beside).split()) if beside.is_file() else ""


def _with_trigger(text: str, word: str | None) -> str:
    """Return `text` with the word in front, unless it holds it."""
    if word is None or word.casefold() in text.casefold():
        return text
    return f"{word}, {text}" if text else word

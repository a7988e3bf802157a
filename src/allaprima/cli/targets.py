"""Where pictures go: named by the user, after the prompt or the picture they are made of, or down a pipe."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import OutputError, UserError
from allaprima.core.files import check_target, free_path, slug, write_whole
from allaprima.core.retouch import ends_transparent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allaprima.core.content_credentials import ContentCredentials
    from allaprima.core.picture import Picture
    from allaprima.core.picture_encoding import FileFormat
    from allaprima.core.request import GenerationRequest
    from allaprima.core.retouch import Operation
    from allaprima.core.retouched import RetouchedPicture

STDOUT = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
"""What -o calls the standard output."""
_OTHER_PICTURES = frozenset({".gif", ".bmp", ".avif", ".tif", ".tiff", ".heic", ".jxl"})
_SUFFIX: dict[FileFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True, kw_only=True)
class OutputTarget:
    """Where one picture goes."""

    path: Path
    file_format: FileFormat
    overwrite: bool
    """True only for a file that -o names."""
    credentials: ContentCredentials | None = None
    """What signs the file; None for nobody."""

    @property
    def is_stdout(self) -> bool:
        """Whether the picture goes to the standard output."""
        return str(self.path) in STDOUT

    def write(self, picture: Picture | RetouchedPicture, label: str = "") -> Path:
        """Write `picture` at the path, with `label` before its suffix, and return where it is.

        Raises:
            OutputError: there is no room, or nobody reads on; nothing half-written is left.
        """
        data = picture.encode(self.file_format)
        if self.credentials is not None:
            data = self.credentials.sign(data, self.file_format)
        if is_stream(self.path):
            _write_stream(self.path, data)
            return self.path
        path = self.path.with_name(f"{self.path.stem}{label}{self.path.suffix}")
        return write_whole(path, data, overwrite=self.overwrite)


def is_stream(path: Path) -> bool:
    """Return whether bytes flow to `path` one after the other: stdout, a pipe or a device such as /dev/null."""
    if str(path) in STDOUT:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def plan_targets(
    requests: list[GenerationRequest], output: Path | None, file_format: FileFormat | None
) -> list[OutputTarget]:
    """Decide where each painted picture goes, and make sure that files can be written there."""
    return place_targets(
        [f"{slug(request.prompt)}-{request.seed}" for request in requests], output, file_format
    )


def place_targets(
    stems: list[str], output: Path | None, file_format: FileFormat | None
) -> list[OutputTarget]:
    """Decide where each picture goes, and make sure that files can be written there.

    Args:
        stems: what the files are called, without an ending, where `output` is a folder or not given.
        output: a file, or a folder; None: this folder.
        file_format: None: what the file's name says, or PNG.
    """
    if output is None or output.is_dir():
        chosen = file_format or "png"
        paths = [free_path((output or Path()) / f"{stem}{_SUFFIX[chosen]}") for stem in stems]
    else:
        streams = is_stream(output)
        chosen = file_format or "png" if streams else _output_format(output, file_format)
        if len(stems) > 1:
            raise UserError(
                f"got one file, {output}, for {len(stems)} pictures; expected a folder, or one picture"
            )
        paths = [output]
    overwrite = output is not None and paths == [output]
    for path in paths:
        _check_stream(path) if is_stream(path) else check_target(path)
    return [OutputTarget(path=path, file_format=chosen, overwrite=overwrite) for path in paths]


def signed_targets(targets: list[OutputTarget], c2pa: tuple[Path, Path] | None) -> list[OutputTarget]:
    """Return `targets` whose files are signed with the certificate and key of --c2pa; `targets` without.

    Raises:
        AssetError: the package that signs is not installed.
        UserError: certificate and key cannot be read, or are none to sign with.
    """
    if c2pa is None:
        return targets
    from allaprima.core.content_credentials import ContentCredentials

    credentials = ContentCredentials(*c2pa)
    return [replace(target, credentials=credentials) for target in targets]


def check_streams(targets: list[OutputTarget], *, as_json: bool, previews: bool = False) -> None:
    """Refuse what cannot share an output with a picture."""
    if as_json and any(target.is_stdout for target in targets):
        raise UserError("got --json with a picture on stdout; expected one of them, or -o FILE")
    if previews and any(is_stream(target.path) for target in targets):
        raise UserError("got --previews without files; expected -o with a file or a folder")


def check_transparency(targets: list[OutputTarget], operations: Iterable[Operation]) -> None:
    """Refuse files that cannot hold what `operations` make transparent, before any work."""
    from allaprima.core.picture_encoding import NO_ALPHA

    if any(target.file_format == "jpeg" for target in targets) and ends_transparent(operations):
        raise OutputError(NO_ALPHA)


def _check_stream(path: Path) -> None:
    """Refuse a terminal, which would show a picture's bytes as letters, and what is closed to us."""
    if str(path) in STDOUT:
        if sys.stdout is None or sys.stdout.isatty():
            raise OutputError(
                f"got -o {path} in a terminal; expected a pipe or a file behind it, as in > cat.png"
            )
    elif not os.access(path, os.W_OK):
        raise OutputError(f"cannot write {path}: it is closed to you; expected the name of a file")


def _write_stream(path: Path, data: bytes) -> None:
    try:
        if str(path) in STDOUT:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            path.write_bytes(data)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; expected somebody who reads to its end"
        ) from error


def _output_format(output: Path, asked: FileFormat | None) -> FileFormat:
    """Return what --format says, or the file's ending; UserError where they differ, or neither says it."""
    from allaprima.core.picture_encoding import SUFFIXES

    named = SUFFIXES.get(output.suffix.lower())
    if asked is None and named is None:
        raise UserError(
            f"got the file name {output}; expected one that ends in {', '.join(SUFFIXES)}, or --format"
        )
    if named is not None and asked not in (None, named):
        raise UserError(
            f"got --format {asked} for the file {output}; expected --format {named}, or another suffix"
        )
    if asked is not None and named is None and output.suffix.lower() in _OTHER_PICTURES:
        raise UserError(
            f"got --format {asked} for the file {output}; expected a name that says {asked}, or no suffix"
        )
    return asked or named or "png"

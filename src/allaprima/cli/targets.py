"""Where pictures go: named by the user, or after the prompt or the picture they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import UserError
from allaprima.core.files import check_target, free_path, slug, write_whole

if TYPE_CHECKING:
    from allaprima.core.picture import Picture
    from allaprima.core.picture_encoding import FileFormat
    from allaprima.core.request import GenerationRequest
    from allaprima.core.retouched import RetouchedPicture

_SUFFIX: dict[FileFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True, kw_only=True)
class OutputTarget:
    """Where one picture goes."""

    path: Path
    file_format: FileFormat
    overwrite: bool
    """True only for a file that -o names."""

    def write(self, picture: Picture | RetouchedPicture, label: str = "") -> Path:
        """Write `picture` at the path, with `label` before its suffix, and return where it is."""
        path = self.path.with_name(f"{self.path.stem}{label}{self.path.suffix}")
        return write_whole(path, picture.encode(self.file_format), overwrite=self.overwrite)


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
        chosen = _output_format(output, file_format)
        if len(stems) > 1:
            raise UserError(
                f"got one file, {output}, for {len(stems)} pictures; expected a folder, or one picture"
            )
        paths = [output]
    overwrite = output is not None and paths == [output]
    for path in paths:
        check_target(path)
    return [OutputTarget(path=path, file_format=chosen, overwrite=overwrite) for path in paths]


def _output_format(output: Path, asked: FileFormat | None) -> FileFormat:
    from allaprima.core.picture_encoding import SUFFIXES

    named = SUFFIXES.get(output.suffix.lower())
    if named is None:
        raise UserError(f"got the file name {output}; expected one that ends in {', '.join(SUFFIXES)}")
    if asked not in (None, named):
        raise UserError(
            f"got --format {asked} for the file {output}; expected --format {named}, or another suffix"
        )
    return named

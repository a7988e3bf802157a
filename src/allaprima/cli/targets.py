"""Where painted pictures go: named by the user, or after the prompt."""

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

_SUFFIX: dict[FileFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True, kw_only=True)
class OutputTarget:
    """Where one picture goes."""

    path: Path
    file_format: FileFormat
    overwrite: bool
    """True only for a file that -o names."""

    def write(self, picture: Picture, label: str = "") -> Path:
        """Write `picture` at the path, with `label` before its suffix, and return where it is."""
        path = self.path.with_name(f"{self.path.stem}{label}{self.path.suffix}")
        return write_whole(path, picture.encode(self.file_format), overwrite=self.overwrite)


def plan_targets(
    requests: list[GenerationRequest], output: Path | None, file_format: FileFormat | None
) -> list[OutputTarget]:
    """Decide where each picture goes, and make sure that files can be written there."""
    if output is None or output.is_dir():
        chosen = file_format or "png"
        names = [f"{slug(request.prompt)}-{request.seed}{_SUFFIX[chosen]}" for request in requests]
        paths = [free_path((output or Path()) / name) for name in names]
    else:
        chosen = _output_format(output, file_format)
        if len(requests) > 1:
            raise UserError(
                f"got one file, {output}, for {len(requests)} pictures; expected a folder or --count 1"
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

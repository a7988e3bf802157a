"""The folder of one training: what is trained there, so that nothing else is gone on with or written over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from allaprima.core.errors import UserError
from allaprima.core.files import make_folder, write_whole
from allaprima.lab.training.checkpoint import read_tensors

Mode = Literal["new", "resume", "overwrite"]
"""Begin, go on with what is in the folder, or begin anew over it."""


@dataclass(frozen=True, kw_only=True)
class TrainingFolder:
    """A folder and what is to be trained in it."""

    path: Path
    about: Mapping[str, Any]
    """What has to be the same when the training goes on, as JSON holds it."""
    mode: Mode

    @property
    def is_begun(self) -> bool:
        """Whether a checkpoint is there."""
        return self._checkpoint.exists()

    def check(self) -> None:
        """Refuse a folder that holds a training which is not to be gone on with; nothing is written."""
        if not self.is_begun or self.mode == "overwrite":
            return
        if self.mode == "new":
            raise UserError(
                f"{self.path} holds a training; add --resume to go on with it, --overwrite to begin anew, or choose "
                "another folder"
            )
        before, now = _read(self._settings), _as_json(self.about)
        other = [name for name in now if before.get(name) != now[name]]
        if other:
            raise UserError(
                f"{self.path} holds a training with other {other[0].replace('_', ' ')} "
                f"({str(before.get(other[0]))[:40]}, and now {str(now[other[0]])[:40]}); expected the pictures and "
                "options it was begun with, or another folder"
            )

    def begin(self) -> None:
        """Make the folder, without what another training has left, and note what is trained there."""
        make_folder(self.path)
        if self.mode != "resume":
            for left in (self._checkpoint, self._log, *self.path.glob("sample-*.png")):
                left.unlink(missing_ok=True)
        write_whole(
            self._settings, (json.dumps(_as_json(self.about), indent=1) + "\n").encode(), overwrite=True
        )

    def num_steps(self) -> int:
        """Return the updates behind the training, by its checkpoint."""
        return int(read_tensors(self._checkpoint)[1]["step"])

    def last_loss(self) -> float | None:
        """Return the loss that was logged last, a mean of some updates; None if none was."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return float(json.loads(lines[-1])["loss"]) if lines else None

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def _log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def _settings(self) -> Path:
        return self.path / "settings.json"


def _as_json(about: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(about)))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {path}: {error}; expected the settings as they were written") from error

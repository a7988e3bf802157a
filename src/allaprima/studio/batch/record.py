"""What became of a batch: a line of JSON for each line of its file, in `batch.jsonl` beside the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allaprima.core.files import write_whole

RECORD = "batch.jsonl"


@dataclass(kw_only=True)
class BatchRecord:
    """The outcome of each line so far."""

    folder: Path
    """Of the pictures."""
    painted: dict[int, Path] = field(default_factory=dict)
    """By the number of the line; those of earlier runs too."""
    skipped: set[int] = field(default_factory=set)
    """Lines whose pictures were there before."""
    failed: dict[int, str] = field(default_factory=dict)
    """Reasons, by the number of the line."""
    remarks: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """What a line says and its picture does not honour."""
    broken: bool = False
    """Whether any line failed for another reason than what it says."""

    def save(self) -> None:
        """Write it into the folder, in place of that of an earlier run; OutputError if that cannot be done."""
        lines = sorted((*self.painted, *self.failed))
        text = "".join(json.dumps(self._line(number), ensure_ascii=False) + "\n" for number in lines)
        write_whole(self.folder / RECORD, text.encode(), overwrite=True)

    def _line(self, number: int) -> Mapping[str, Any]:
        if number in self.failed:
            return {"line": number, "error": self.failed[number]}
        told: dict[str, Any] = {"line": number, "file": self.painted[number].name}
        return {**told, "remarks": list(self.remarks[number])} if self.remarks.get(number) else told

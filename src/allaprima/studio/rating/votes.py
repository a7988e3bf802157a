"""The votes of one rating, in a file to which each is written before it counts.

The file has a line of JSON for what is rated and one for every vote or undoing, in the order in which they came. A
line is on the disk when `cast` returns, so whatever ends the program loses none; half a line at the end, of a vote
that was never answered, is dropped.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from allaprima.core.errors import OutputError, UserError
from allaprima.studio.rating.pairing import PicturePair
from allaprima.studio.rating.ranking import Choice, Ranking, rank

LAYOUT = 1
COLUMNS = ("pair", "picture", "left", "right", "vote", "preferred", "when")


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What a person said of one pair."""

    pair: PicturePair
    choice: Choice
    when: str
    """Date and time, ISO 8601."""


class Votes:
    """The votes on `pairs`, and the file that keeps them.

    Args:
        path: the file, which is begun if it is not there and continued if it is of the same rating.
        names: of the folders, in the order that pairs mean.
        pairs: what is shown.
        digest: of the pictures.

    Raises:
        UserError: the file holds the votes of another rating, or is none.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, names: Sequence[str], pairs: Sequence[PicturePair], digest: str) -> None:
        self.names, self.pairs = tuple(names), tuple(pairs)
        self._path = path
        self._head = {"layout": LAYOUT, "rated": list(names), "pictures": digest}
        self._cast: list[Vote] = []
        try:
            if path.exists() and path.stat().st_size:
                self._read()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._append(self._head)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}; expected a file for votes") from error

    @property
    def done(self) -> tuple[Vote, ...]:
        """All votes that count, in the order in which they came."""
        return tuple(self._cast)

    @property
    def next_pairs(self) -> tuple[PicturePair, ...]:
        """The pairs that wait for a vote, in their order."""
        judged = {vote.pair.number for vote in self._cast}
        return tuple(pair for pair in self.pairs if pair.number not in judged)

    def cast(self, number: int, choice: Choice) -> None:
        """Take the vote on the pair of that number; one that was given again, after a lost answer, counts once.

        Raises:
            OutputError: it cannot be written, and does not count.
        """
        self._drop(number)
        pair = self.pairs[number]
        vote = Vote(pair=pair, choice=choice, when=datetime.now().astimezone().isoformat(timespec="seconds"))
        self._append({
            "pair": number, "picture": pair.picture, "left": self.names[pair.left],
            "right": self.names[pair.right], "vote": choice, "when": vote.when,
        })  # fmt: skip
        self._cast.append(vote)

    def undo(self) -> PicturePair | None:
        """Take the last vote back and return its pair; None if there is none."""
        if not self._cast:
            return None
        last = self._cast[-1].pair
        self._append({"pair": last.number, "undone": True})
        self._cast.pop()
        return last

    def ranking(self) -> Ranking:
        """Return what the votes come to."""
        return rank(self.names, [(vote.pair.left, vote.pair.right, vote.choice) for vote in self._cast])

    def to_csv(self) -> str:
        """Return the votes as a table, names and all."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for vote in self._cast:
            pair, choice = vote.pair, vote.choice
            left, right = self.names[pair.left], self.names[pair.right]
            preferred = {"left": left, "right": right, "tie": ""}[choice]
            table.writerow([pair.number, pair.picture, left, right, choice, preferred, vote.when])
        return out.getvalue()

    def _drop(self, number: int) -> None:
        self._cast = [vote for vote in self._cast if vote.pair.number != number]

    def _append(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line) + "\n").encode()
        try:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"cannot write the vote to {self._path}: {error.strerror}; expected room on the disk"
            ) from error

    def _read(self) -> None:
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # half a line, of a vote that was never answered
            os.truncate(self._path, len(whole))
        try:
            head, *lines = [json.loads(line) for line in whole.splitlines()] or [None]
            if head != self._head:
                raise UserError(
                    f"{self._path} holds the votes of another rating; expected the same folders, with the same "
                    "pictures, or another folder for votes (-o)"
                )
            for line in lines:
                self._take(line)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self._path} holds no votes; expected a file that prima rate wrote") from error

    def _take(self, line: dict[str, Any]) -> None:
        """Repeat what a line of the file says."""
        number = line["pair"]
        self._drop(number)
        if line.get("undone"):
            return
        if line["vote"] not in get_args(Choice):
            raise ValueError(line["vote"])
        # By the number: with another limit of pairs the first ones are the same.
        if number < len(self.pairs):
            self._cast.append(Vote(pair=self.pairs[number], choice=line["vote"], when=line["when"]))

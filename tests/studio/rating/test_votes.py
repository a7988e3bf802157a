from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from allaprima.core.errors import OutputError, UserError
from allaprima.studio.rating.pairing import draw_pairs
from allaprima.studio.rating.votes import Votes

PAIRS = draw_pairs(2, ["cat", "dog", "猫"], seed=0)


def open_votes(folder: Path, digest: str = "d") -> Votes:
    return Votes(folder / "votes.jsonl", ["甲", "b"], PAIRS, digest)


def test_votes_are_there_again(tmp_path: Path) -> None:
    votes = open_votes(tmp_path)
    votes.cast(0, "left")
    votes.cast(1, "tie")
    votes.cast(2, "right")
    assert votes.undo() == PAIRS[2]
    again = open_votes(tmp_path)
    assert again.done == votes.done
    assert again.next_pairs == (PAIRS[2],)
    assert again.ranking() == votes.ranking()


def test_undoing_goes_back_beyond_a_new_start(tmp_path: Path) -> None:
    open_votes(tmp_path).cast(1, "left")
    again = open_votes(tmp_path)
    assert again.undo() == PAIRS[1]
    assert again.undo() is None
    assert open_votes(tmp_path).done == ()


def test_half_a_line_is_no_vote_and_does_no_harm(tmp_path: Path) -> None:
    open_votes(tmp_path).cast(0, "left")
    with (tmp_path / "votes.jsonl").open("ab") as file:
        file.write('{"pair": 1, "picture": "猫'.encode()[:-1])
    votes = open_votes(tmp_path)
    assert [vote.pair for vote in votes.done] == [PAIRS[0]]
    votes.cast(1, "right")
    assert [vote.choice for vote in open_votes(tmp_path).done] == ["left", "right"]


def test_a_vote_that_comes_twice_counts_once(tmp_path: Path) -> None:
    votes = open_votes(tmp_path)
    votes.cast(0, "left")
    votes.cast(0, "right")
    assert [vote.choice for vote in votes.done] == ["right"]
    assert open_votes(tmp_path).done == votes.done


def test_other_pictures_have_other_votes(tmp_path: Path) -> None:
    open_votes(tmp_path).cast(0, "left")
    with pytest.raises(UserError, match="another rating"):
        open_votes(tmp_path, digest="e")


@pytest.mark.parametrize("text", ["[]\n", "hello\n", "{}\n{}\n", "\n"])
def test_what_holds_no_votes_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "votes.jsonl").write_text(text)
    with pytest.raises(UserError):
        open_votes(tmp_path)
    assert (tmp_path / "votes.jsonl").read_text() == text


def test_damaged_lines_are_told(tmp_path: Path) -> None:
    open_votes(tmp_path)
    with (tmp_path / "votes.jsonl").open("a") as file:
        file.write(json.dumps({"pair": 0, "vote": "up", "when": ""}) + "\n")
    with pytest.raises(UserError, match="holds no votes"):
        open_votes(tmp_path)


def test_the_table_names_what_was_preferred(tmp_path: Path) -> None:
    votes = open_votes(tmp_path)
    votes.cast(0, "left")
    votes.cast(1, "tie")
    first, second = csv.DictReader(votes.to_csv().splitlines())
    names = ["甲", "b"]
    assert first["preferred"] == first["left"] == names[PAIRS[0].left]
    assert (second["vote"], second["preferred"]) == ("tie", "")
    assert second["picture"] == PAIRS[1].picture


def test_a_vote_that_cannot_be_kept_does_not_count(tmp_path: Path) -> None:
    votes = open_votes(tmp_path)
    (tmp_path / "votes.jsonl").unlink()
    (tmp_path / "votes.jsonl").mkdir()
    with pytest.raises(OutputError, match="cannot write the vote"):
        votes.cast(0, "left")
    assert votes.done == ()

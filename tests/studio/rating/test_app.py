from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.studio.rating.folders_of_colors import COLORS, write_folders

from allaprima.studio.rating.app import create_rating_app
from allaprima.studio.rating.folders import read_folder
from allaprima.studio.rating.pairing import draw_pairs
from allaprima.studio.rating.votes import Votes
from allaprima.studio.server.settings import ServerSettings


class Rating:
    """The page's application over two folders, and what it does."""

    def __init__(self, folder: Path) -> None:
        folders = [read_folder(path.name, path) for path in write_folders(folder, 4)]
        names = [one.name for one in folders]
        pairs = draw_pairs(2, sorted(folders[0].pictures), seed=0)
        self.votes = Votes(folder / "votes.jsonl", names, pairs, "d")
        self.closed = 0
        app = create_rating_app(self.votes, folders, ServerSettings(), self.close)
        self.client = TestClient(app, base_url="http://localhost")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def rating(tmp_path: Path) -> Rating:
    return Rating(tmp_path)


def test_nothing_tells_whose_a_picture_is(rating: Rating) -> None:
    answers = [rating.client.get(path) for path in ("/", "/static/rate.js", "/static/base.css", "/api/state")]
    for pair in rating.votes.pairs:
        for side in ("left", "right"):
            answer = rating.client.get(f"/pictures/{pair.number}/{side}")
            with Image.open(io.BytesIO(answer.content)) as image:
                image.load()
                shown = pair.left if side == "left" else pair.right
                assert image.getpixel((0, 0)) == COLORS[rating.votes.names[shown]]
                assert image.info == {}
            answers.append(answer)
    for answer in answers:
        assert answer.status_code == 200
        told = answer.content + repr(answer.headers).encode()
        assert b"better" not in told.replace(b"is better", b"").replace(b"Which is better", b"")
        assert b"worse" not in told
        assert b"Lora hashes" not in told


def test_the_prompt_is_shown_and_the_pair_after_the_next_one(rating: Rating) -> None:
    state = rating.client.get("/api/state").json()
    assert (state["done"], state["total"], len(state["pairs"])) == (0, 4, 2)
    number = int(rating.votes.pairs[0].picture.removeprefix("cat-"))
    assert state["pairs"][0]["prompt"] == f"a cat number {number}"


def test_votes_and_undoing(rating: Rating) -> None:
    first = rating.client.get("/api/state").json()["pairs"][0]["number"]
    state = rating.client.post("/api/votes", json={"pair": first, "vote": "left"}).json()
    assert state["done"] == 1
    assert state["pairs"][0]["number"] != first
    assert rating.client.post("/api/undo", json={}).json()["pairs"][0]["number"] == first
    assert rating.votes.done == ()


def test_results_and_table(rating: Rating) -> None:
    for pair in rating.votes.pairs:
        choice = "left" if rating.votes.names[pair.left] == "better" else "right"
        rating.client.post("/api/votes", json={"pair": pair.number, "vote": choice})
    best = rating.client.get("/api/results").json()["standings"][0]
    assert (best["name"], best["wins"], best["losses"]) == ("better", 4, 0)
    table = rating.client.get("/votes.csv")
    assert table.text.count(",better,") >= 4
    assert "attachment" in table.headers["content-disposition"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"pair": 9, "vote": "left"}, 404),
        ({"pair": -1, "vote": "left"}, 404),
        ({"pair": 0, "vote": "up"}, 422),
        ({"vote": "left"}, 422),
    ],
)
def test_what_is_no_vote_is_refused(rating: Rating, body: dict[str, object], status: int) -> None:
    assert rating.client.post("/api/votes", json=body).status_code in (status, 400)
    assert rating.votes.done == ()


def test_other_files_and_foreign_pages_are_refused(rating: Rating) -> None:
    assert rating.client.get("/static/../app.py").status_code == 404
    assert rating.client.get("/static/votes.jsonl").status_code == 404
    foreign = {"origin": "https://evil.example"}
    vote = {"pair": 0, "vote": "left"}
    assert rating.client.post("/api/votes", json=vote, headers=foreign).status_code == 403
    assert rating.client.get("/api/results", headers={"host": "evil.example"}).status_code == 421
    assert rating.votes.done == ()


def test_finishing_closes_the_command(rating: Rating) -> None:
    assert rating.client.post("/api/finish", json={}).json() == {"ok": True}
    assert rating.closed == 1

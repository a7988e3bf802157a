"""The page of a rating: two pictures and no names, for one person with a keyboard on this machine.

What could tell whose a picture is stays here: addresses are numbers, and files are written anew without what they
say of themselves. Names are shown once the person has finished.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from allaprima.core.picture_opening import open_picture
from allaprima.studio.rating.folders import RatedFolder, find_prompt
from allaprima.studio.rating.pairing import PicturePair
from allaprima.studio.rating.ranking import Choice
from allaprima.studio.rating.votes import Votes
from allaprima.studio.server.errors import ProblemError, install_handlers
from allaprima.studio.server.guard import Guard
from allaprima.studio.server.settings import ServerSettings

OWN = Path(__file__).parent / "static"
HOUSE = Path(__file__).parents[1] / "server" / "static"
_FILES = {
    "rate.css": (OWN, "text/css"), "rate.js": (OWN, "text/javascript"), "base.css": (HOUSE, "text/css"),
    "theme.js": (HOUSE, "text/javascript"), "icon.svg": (HOUSE, "image/svg+xml"),
}  # fmt: skip
"""The parts of the page; its colours, type and controls are the studio's."""
_AHEAD = 2
"""Pairs whose pictures a browser may fetch before they are shown."""


class VoteBody(BaseModel):
    """One vote."""

    model_config = ConfigDict(extra="forbid")
    pair: int
    vote: Choice


def create_rating_app(
    votes: Votes, folders: Sequence[RatedFolder], settings: ServerSettings, close: Callable[[], None]
) -> FastAPI:
    """Return the application that shows the pairs of `votes`.

    Args:
        votes: what is rated, and the votes so far.
        folders: whose pictures are shown, in the order that pairs mean.
        settings: how it is reached.
        close: called when the person has finished.
    """
    app = FastAPI(title="Alla Prima: rating", docs_url=None, redoc_url=None, openapi_url=None)
    install_handlers(app)
    page = RatingPage(votes, folders, close)
    app.add_api_route("/", page.index)
    app.add_api_route("/static/{name}", page.part)
    app.add_api_route("/pictures/{number}/{side}", page.picture, response_class=Response)
    app.add_api_route("/api/state", page.state)
    app.add_api_route("/api/votes", page.vote, methods=["POST"])
    app.add_api_route("/api/undo", page.undo, methods=["POST"])
    app.add_api_route("/api/results", page.results)
    app.add_api_route("/api/finish", page.finish, methods=["POST"])
    app.add_api_route("/votes.csv", page.csv)
    app.add_middleware(Guard, settings=settings, refused=Counter())
    return app


class RatingPage:
    """The answers to the page's questions."""

    def __init__(self, votes: Votes, folders: Sequence[RatedFolder], close: Callable[[], None]) -> None:
        self._votes, self._folders, self._close = votes, folders, close
        self._parts: Mapping[str, tuple[bytes, str]] = {
            name: ((folder / name).read_bytes(), kind) for name, (folder, kind) in _FILES.items()
        }

    def index(self) -> Response:
        """Return the page."""
        return Response((OWN / "rate.html").read_bytes(), media_type="text/html")

    def part(self, name: str) -> Response:
        """Return a part of the page."""
        if name not in self._parts:
            raise ProblemError(404, "there is no such file", code="not_found")
        data, kind = self._parts[name]
        return Response(data, media_type=kind)

    def picture(self, number: int, side: Literal["left", "right"]) -> Response:
        """Return the pixels of one picture of a pair, and nothing else of its file."""
        pair = self._require(number)
        folder = self._folders[pair.left if side == "left" else pair.right]
        image = open_picture(folder.pictures[pair.picture])
        bare, out = image.convert("RGBA" if "A" in image.getbands() else "RGB"), io.BytesIO()
        bare.info.clear()
        bare.save(out, "PNG", compress_level=1)
        return Response(
            out.getvalue(), media_type="image/png", headers={"cache-control": "private, max-age=3600"}
        )

    def state(self) -> JSONResponse:
        """Return how far the rating is, and the pair that is to be judged."""
        waiting, total = self._votes.next_pairs, len(self._votes.pairs)
        shown = [self._to_json(pair) for pair in waiting[:_AHEAD]]
        return JSONResponse({"done": total - len(waiting), "total": total, "pairs": shown})

    def vote(self, body: VoteBody) -> JSONResponse:
        """Take a vote; it is on the disk when the answer leaves."""
        self._votes.cast(self._require(body.pair).number, body.vote)
        return self.state()

    def undo(self) -> JSONResponse:
        """Take the last vote back; its pair is shown again."""
        self._votes.undo()
        return self.state()

    def results(self) -> JSONResponse:
        """Return what the votes come to, with the names."""
        return JSONResponse(self._votes.ranking().to_json())

    def csv(self) -> Response:
        """Return all votes as a table."""
        headers = {"content-disposition": 'attachment; filename="votes.csv"'}
        table = self._votes.to_csv().encode(errors="surrogateescape")
        return Response(table, media_type="text/csv; charset=utf-8", headers=headers)

    def finish(self) -> JSONResponse:
        """End the command that serves the page; votes stay, and the rating can be continued."""
        self._close()
        return JSONResponse({"ok": True})

    def _require(self, number: int) -> PicturePair:
        if not 0 <= number < len(self._votes.pairs):
            raise ProblemError(404, "there is no such pair", code="not_found")
        return self._votes.pairs[number]

    def _to_json(self, pair: PicturePair) -> dict[str, Any]:
        place = f"pictures/{pair.number}"
        prompt = find_prompt([self._folders[pair.left], self._folders[pair.right]], pair.picture)
        return {"number": pair.number, "prompt": prompt, "left": f"{place}/left", "right": f"{place}/right"}

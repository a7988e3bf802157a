"""What the routes share, as one record that they get by dependency."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends, Request

from allaprima.core.request import MAX_SEED, LoraUse
from allaprima.core.turbo import TURBOS, choose_turbo, turbo_habits
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.messages import MAX_LIVE_STEPS
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.jobs import Jobs
from allaprima.studio.server.limits import OpenCount
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class BaseCard:
    """A base as clients see it."""

    name: str
    """What a request asks for."""
    family: str
    """The architecture."""
    width: int
    """Pixels, where nobody says otherwise."""
    height: int
    """Pixels."""
    steps: int
    """Of a whole picture, where nobody says otherwise."""
    guidance: float
    """Where nobody says otherwise."""


@dataclass(frozen=True)
class LoadedCards(Mapping[str, BaseCard]):
    """Cards of bases, which say what the engine says as soon as it has loaded a base: its files know best.

    Attributes:
        usual: what is known of each before that, by name.
        engine: loads the bases.
    """

    usual: Mapping[str, BaseCard]
    engine: Engine

    def __getitem__(self, name: str) -> BaseCard:
        known = self.engine.defaults(name)
        return self.usual[name] if known is None else replace(self.usual[name], **asdict(known))

    def __iter__(self) -> Iterator[str]:
        return iter(self.usual)

    def __len__(self) -> int:
        return len(self.usual)


@dataclass(kw_only=True)
class Studio:
    """One server's parts."""

    engine: Engine
    gallery: Gallery
    settings: ServerSettings
    bases: Mapping[str, BaseCard]
    """By name; the first is the one that is painted with where nobody says otherwise."""
    loras: LoraCards
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by reason."""
    frames_missed: int = 0
    """Frames that slow readers were not sent."""
    a1111_options: dict[str, Any] = field(default_factory=dict)
    """What A1111's clients set for all of them."""
    jobs: Jobs = field(init=False)
    sockets: OpenCount = field(init=False)
    books: OpenCount = field(init=False)

    def __post_init__(self) -> None:
        """Make what counts the clients' work."""
        self.jobs = Jobs(engine=self.engine, gallery=self.gallery, caps=self.settings.caps)
        self.sockets = OpenCount(most=self.settings.caps.sessions_per_client, what="live sessions")
        self.books = OpenCount(most=self.settings.caps.books_per_client, what="flipbooks")

    @property
    def first_base(self) -> BaseCard:
        """The base where nobody says otherwise."""
        return next(iter(self.bases.values()))


def painting_defaults(base: BaseCard, cards: LoraCards, *, turbo: bool = True) -> dict[str, Any]:
    """Return the steps, guidance and LoRAs that `base` is painted with where a client says nothing of them.

    Args:
        base: to paint with.
        cards: the LoRAs that are there.
        turbo: False for the plain base: for who says something of how to paint.
    """
    there = {name: card for name in TURBOS if (card := cards.find(name)) is not None} if turbo else {}
    name = choose_turbo(there, base.family)
    if name is None:
        return {"steps": base.steps, "guidance": base.guidance, "loras": ()}
    return {**turbo_habits(there[name]), "loras": (LoraUse(name=name),)}


def live_defaults(base: BaseCard, cards: LoraCards) -> dict[str, Any]:
    """Return the steps, guidance and LoRAs that live painting on `base` begins with, as plain data."""
    usual = painting_defaults(base, cards)
    loras = [asdict(use) for use in usual["loras"]]
    return {**usual, "steps": min(usual["steps"], MAX_LIVE_STEPS), "loras": loras}


def get_studio(request: Request) -> Studio:
    """Return the parts of the server that answers `request`."""
    studio: Studio = request.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(get_studio)]


def pick_seed(seed: int | None, count: int) -> int:
    """Return `seed`, or a random one that leaves room for `count` seeds in a row."""
    if seed is not None and seed >= 0:
        return seed
    return secrets.randbelow(min(2**32, MAX_SEED - count))


def one_line(text: str) -> str:
    """Return `text` as a prompt: programs send their users' line breaks along."""
    return " ".join(text.splitlines())

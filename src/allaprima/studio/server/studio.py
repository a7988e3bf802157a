"""What the routes share: the parts of the server, and requests completed by the policy."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from fastapi import Depends, Request

from allaprima.core.content_credentials import ContentCredentials
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.report_place import REPORTS
from allaprima.core.request import MAX_SEED, GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.core.request_policy import complete_request
from allaprima.core.retouched import RetouchedPicture
from allaprima.core.wildcard_folder import WildcardFolder
from allaprima.paint.retouch.upscaler_folder import find_upscalers
from allaprima.studio.engine.door import EngineDoor
from allaprima.studio.engine.messages import MAX_LIVE_STEPS
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.jobs import Jobs
from allaprima.studio.server.limits import OpenAmount, OpenCount
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.settings import ServerSettings
from allaprima.studio.server.sizes import FittedSize, fit_size

PAINTED_SIZE = "x-painted-size"
"""The header of answers whose pictures are painted at another size than was asked for, and scaled."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BaseCard:
    """A base as clients see it."""

    name: str
    """What a request asks for."""
    family: str
    """The architecture."""
    defaults: RequestDefaults
    """The size, steps and guidance that it is painted with by itself."""
    schedules: tuple[str, ...] = ()
    """Names of schedules to choose from, besides its own."""
    all_schedules: tuple[str, ...] = ()
    """Names of all schedules that a request may say."""
    fixed_size: bool = False
    """Whether it paints one size only."""
    stride: int = 8
    """Pixels that both sides of a picture are multiples of."""
    english_only: bool = False
    """Whether it reads no other language."""
    reads_references: bool = False
    """Whether it looks at pictures beside the prompt."""
    reads_layout: bool = False
    """Whether it is told what stands where."""
    starters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Phrases to begin a prompt with, by their kind."""


@dataclass(frozen=True)
class LoadedCards(Mapping[str, BaseCard]):
    """Cards of bases, with what the engine found in a base's own files once that is loaded."""

    usual: Mapping[str, BaseCard]
    """The cards of bases that are not loaded, by name."""
    engine: EngineDoor
    """Loads the bases."""

    def __getitem__(self, name: str) -> BaseCard:
        known = self.engine.defaults(name)
        if known is None:
            return self.usual[name]
        return replace(self.usual[name], defaults=known, reads_layout=self.engine.reads_layout(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.usual)

    def __len__(self) -> int:
        return len(self.usual)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a client's body comes to."""

    requests: list[GenerationRequest]
    """The pictures."""
    size: FittedSize
    """How they are shown."""
    ignored: tuple[str, ...] = ()
    """The body's fields that are not honoured."""

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says before its body: the size that is painted where another was asked for."""
        first = self.requests[0]
        return {} if self.size.asked is None else {PAINTED_SIZE: f"{first.width}x{first.height}"}


@dataclass(kw_only=True)
class Studio:
    """One server's parts."""

    engine: EngineDoor
    gallery: Gallery
    settings: ServerSettings
    bases: Mapping[str, BaseCard]
    """By name; the first is the one that is painted with where nobody says otherwise."""
    loras: LoraCards
    models_dirs: Sequence[Path] = ()
    """Folders of models in which upscalers lie."""
    reports: Path = REPORTS
    """The folder of report cards; it need not exist."""
    credentials: ContentCredentials | None = None
    """What signs the files that clients get; None for nobody."""
    wildcards: WildcardFolder = field(default_factory=WildcardFolder)
    """What `__animal__` in a prompt may stand for."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by reason."""
    frames_missed: int = 0
    """Frames that slow readers were not sent."""
    a1111_options: dict[str, Any] = field(default_factory=dict)
    """What A1111's clients set for all of them."""
    jobs: Jobs = field(init=False)
    sockets: OpenCount = field(init=False)
    books: OpenCount = field(init=False)
    canvases: OpenAmount = field(init=False)
    """Pixels that live sessions are painted over."""
    _opening: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(engine=self.engine, gallery=self.gallery, caps=self.settings.caps)
        self.sockets = OpenCount(most=self.settings.caps.sessions_per_client, what="live sessions")
        most = self.settings.caps.canvas_pixels_per_client
        self.canvases = OpenAmount(most=most, what="pixels to paint over")
        self._opening = asyncio.Semaphore(self.settings.caps.openings)
        self.books = OpenCount(most=self.settings.caps.books_per_client, what="flipbooks")

    async def open_pictures(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` makes of pictures that a client sent, in a thread; few at once: they may be large."""
        async with self._opening:
            return await asyncio.to_thread(work, *args, **kwargs)

    def encode(self, picture: Picture | RetouchedPicture, file_format: FileFormat = "png") -> bytes:
        """Return the file of `picture` as clients get it, signed if anybody signs."""
        data = picture.encode(file_format)
        return data if self.credentials is None else self.credentials.sign(data, file_format)

    def upscalers(self) -> Mapping[str, Path]:
        """Return the upscalers in the folders of models, by name; they are looked at with every call."""
        return find_upscalers(self.models_dirs)

    @property
    def first_base(self) -> BaseCard:
        """The base of requests that name none."""
        return next(iter(self.bases.values()))

    def make_requests(
        self, given: Mapping[str, Any], count: int, *, turbo: bool = True
    ) -> list[GenerationRequest]:
        """Return `count` requests with what is `given`, completed by the policy, with seeds that follow each other.

        Raises:
            RequestError: a value is out of range, or more than the caps allow.
        """
        self.settings.caps.check_count(count)
        # A seed that is left open leaves room for those that follow it.
        given = {"seed": secrets.randbelow(min(2**32, MAX_SEED - count)), **given}
        first = GenerationRequest(**self._complete(given, turbo=turbo))
        requests = [replace(first, seed=first.seed + number) for number in range(count)]
        if first.template or first.negative_template:  # each seed makes its own choices
            seeds = [request.seed for request in requests]
            every = (self._complete({**given, "seed": seed}, turbo=turbo) for seed in seeds)
            requests = [GenerationRequest(**fields) for fields in every]
        self.jobs.check(requests)
        return requests

    def make_order(
        self, given: Mapping[str, Any], count: int, *, turbo: bool = True, ignored: Sequence[str] = ()
    ) -> Order:
        """Return the order for `count` pictures as `make_requests` makes them, of a size that their base can paint.

        Raises:
            RequestError: as `make_requests`, or the size is not painted and the settings forbid to scale.
        """
        fitted, size = fit_size(given, self._find_base(given))
        if size.asked is not None:
            self.settings.caps.check_size(*size.asked)
            if not self.settings.strict_sizes:
                given = fitted
        requests = self.make_requests(given, count, turbo=turbo)
        return Order(requests=requests, size=size, ignored=tuple(ignored))

    def complete_live(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of live painting that are `given`, completed by the policy."""
        fields = self._complete(given)
        return fields if "steps" in given else {**fields, "steps": min(fields["steps"], MAX_LIVE_STEPS)}

    def _complete(self, given: Mapping[str, Any], *, turbo: bool = True) -> dict[str, Any]:
        base, accelerators = self._find_base(given), self.loras.accelerators()
        return complete_request(
            given, base, self.loras.find, turbo=turbo, accelerators=accelerators,
            find_wildcard=self.wildcards.find,
        )  # fmt: skip

    def _find_base(self, given: Mapping[str, Any]) -> BaseCard:
        # A base that is not there is the engine's to refuse.
        name = next((name for name in self.bases if name == given.get("base")), None)
        return self.first_base if name is None else self.bases[name]


async def get_studio(request: Request) -> Studio:  # async: no thread is asked for it with every request
    """Return the parts of the server that answers `request`."""
    studio: Studio = request.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(get_studio)]

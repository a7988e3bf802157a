"""Whole pictures on their way: from a route to the engine's thread and back, seen by whoever asks how far it is.

A job belongs to the connection that asked for it. When the client leaves, the job is cancelled. Each picture that
is to be kept enters the gallery as it is finished, whatever becomes of those after it and however slowly the client
reads, and is there before the client hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from starlette.requests import Request

from allaprima.core.errors import BusyError, RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.door import EngineDoor
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    JobUpdate,
    Painted,
    Progress,
    Queued,
    Retouched,
    RetouchOrder,
)
from allaprima.studio.server.connections import from_thread, watch_client
from allaprima.studio.server.errors import ProblemError, hide_paths, new_id
from allaprima.studio.server.gallery import Gallery, GalleryEntry
from allaprima.studio.server.limits import OpenCount, RoomForecast
from allaprima.studio.server.security import client_of
from allaprima.studio.server.settings import Caps

_MOST_NEWS = 32
"""Steps of one job, previews included, that wait for a slow client."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Some of a job's pictures are finished, and in the gallery if that was wanted."""

    pictures: tuple[Picture, ...]
    """One or more, in the order of the requests."""
    entries: tuple[GalleryEntry, ...]
    """Theirs; none if they were not to be kept."""


@dataclass(frozen=True, kw_only=True)
class KeptRetouch:
    """A job to retouch a picture is done."""

    picture: RetouchedPicture
    entry: GalleryEntry | None
    """Its entry in the gallery; None if it was not to be kept, or was never painted and so has no request."""


Keeper = Callable[[Sequence[Picture | RetouchedPicture]], Awaitable[list[GalleryEntry]]]
"""What becomes of finished pictures."""
JobUpdates = asyncio.Queue[JobUpdate | None]
"""What the engine reports of a job; None: the client closed the connection."""
JobStep = Queued | Progress | Kept | KeptRetouch | Done | Cancelled
"""What a route hears of its job; the last is Done, KeptRetouch or Cancelled."""
Submit = Callable[..., Job]
"""Hands a job to the engine, given a callback and an owner."""
CLOSING = "the studio is closing"
RESTART_S = 10
"""Seconds in which a studio that is started again answers, as a rule."""


@dataclass(kw_only=True)
class Ticket:
    """A job as others see it."""

    id: str
    """Made by us."""
    api: str
    """The routes that asked: openai, a1111 or page."""
    requests: tuple[GenerationRequest, ...]
    """The pictures; none where one is retouched."""
    submitted_s: float
    """Unix time."""
    cancel: Callable[[], None]
    """Stops it; any thread."""
    skip: Callable[[], None]
    """Leaves out the picture that is painted; any thread."""
    fail: Callable[[Exception], None]
    """Ends it for its client, for a reason of the studio's own; the event loop alone."""
    position: int | None = 0
    """Jobs before it; None once it is begun."""
    begun_s: float | None = None
    """Unix time."""
    progress: Progress | None = None
    """How far it is."""
    kept: int = 0
    """Pictures that are in the gallery."""

    @property
    def share(self) -> float:
        """The share of it that is done, 0 to 1."""
        if self.progress is None:
            return 0.0
        done = self.progress.picture - 1 + self.progress.step / max(1, self.progress.total)
        return min(1.0, done / self.progress.pictures)

    def note(self, update: JobUpdate) -> None:
        """Note an update of the engine."""
        if isinstance(update, Queued):
            self.position = update.position
        elif isinstance(update, Progress):
            self.position, self.progress = None, update
            self.begun_s = self.begun_s or time.time()


@dataclass(kw_only=True)
class _News:
    """What a client is to hear next. One that reads slowly misses progress, nothing else."""

    _waiting: deque[JobStep | Exception] = field(default_factory=deque)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, step: JobStep | Exception) -> None:
        """Queue `step`; once many wait, progress replaces the progress before it."""
        full = len(self._waiting) >= _MOST_NEWS
        if full and isinstance(self._waiting[-1], Progress) and isinstance(step, Progress):
            self._waiting.pop()
        self._waiting.append(step)
        self._ready.set()

    async def take(self) -> JobStep:
        """Wait for the next step.

        Raises:
            Exception: the job has come to nothing, for this reason.
        """
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        step = self._waiting.popleft()
        if isinstance(step, Exception):
            raise step
        return step


@dataclass(kw_only=True)
class Jobs:
    """The jobs of all clients. Belongs to the event loop."""

    engine: EngineDoor
    gallery: Gallery
    caps: Caps
    tickets: dict[str, Ticket] = field(default_factory=dict)
    """By id, in the order in which they came."""
    _open: OpenCount = field(init=False)
    _room: RoomForecast = field(default_factory=RoomForecast)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._open = OpenCount(most=self.caps.jobs_per_client, what="jobs")

    def close(self) -> None:
        """Take no more jobs, and tell the clients of those under way that the studio is closing."""
        self._closed = True
        for ticket in self.tickets.values():
            kept = f"; {ticket.kept} of {len(ticket.requests)} pictures are kept in its gallery"
            ticket.fail(_closing(kept if ticket.kept else ""))

    def check(self, requests: Sequence[GenerationRequest]) -> None:
        """Refuse more than the caps allow."""
        self.caps.check_count(len(requests))
        for request in requests:
            self.caps.check_size(request.width, request.height)
            if request.steps > self.caps.steps:
                raise RequestError(
                    f"got {request.steps} steps; expected 1 to {self.caps.steps}", field="steps"
                )

    async def run(
        self,
        requests: Sequence[GenerationRequest],
        http: Request,
        *,
        api: str,
        init_image: InitImage | None = None,
        previews: bool = False,
        keep: bool = True,
    ) -> AsyncGenerator[JobStep, None]:
        """Paint `requests` for the client of `http`, over `init_image` if there is one, and yield each step.

        Closing the generator cancels the job. Pictures enter the gallery, with `init_image`, unless `keep` is False.

        Raises:
            RequestError: the caps or the base refuse them.
            ProblemError: the queue is full or too much of it is this client's, the painting failed, or the client
                is gone.
        """
        self.check(requests)
        submit = partial(self.engine.submit, requests, previews=previews, init_image=init_image)
        keeper = partial(self._keep, init_image) if keep else _keep_nothing
        async with aclosing(self._run(submit, http, api=api, requests=requests, keeper=keeper)) as steps:
            async for step in steps:
                yield step

    async def retouch(
        self, order: RetouchOrder, http: Request, *, api: str, keep: bool = True
    ) -> AsyncGenerator[JobStep, None]:
        """Retouch a picture for the client of `http`, as `run` paints pictures."""
        submit = partial(self.engine.retouch, order)
        keeper = partial(self._keep, None) if keep else _keep_nothing
        async with aclosing(self._run(submit, http, api=api, requests=(), keeper=keeper)) as steps:
            async for step in steps:
                yield step

    async def _run(
        self,
        submit: Submit,
        http: Request,
        *,
        api: str,
        requests: Sequence[GenerationRequest],
        keeper: Keeper,
    ) -> AsyncGenerator[JobStep, None]:
        if self._closed:
            raise _closing()
        client = client_of(http)
        with self._say_when(), self._open.hold(client):
            updates: JobUpdates = asyncio.Queue()
            send = from_thread(updates.put_nowait)
            job = submit(send, owner=client)
            news = _News()
            ticket = Ticket(
                id=new_id(),
                api=api,
                requests=tuple(requests),
                submitted_s=time.time(),
                cancel=job.cancel,
                skip=job.skip,
                fail=news.put,
                # The engine says it better between two steps; on a slow base those are far apart.
                position=sum(waiting.position is not None for waiting in self.tickets.values()),
            )
            self.tickets[ticket.id] = ticket
            watch = asyncio.create_task(watch_client(http, lambda: updates.put_nowait(None)))
            follow = asyncio.create_task(_follow(ticket, updates, news, keeper))
            try:
                while True:
                    step = await news.take()
                    yield step
                    if isinstance(step, Done | KeptRetouch | Cancelled):
                        return
            finally:
                watch.cancel()
                job.cancel()
                follow.cancel()
                del self.tickets[ticket.id]
                if ticket.begun_s is not None:
                    self._room.note(time.time() - ticket.begun_s)
                # Finished while the client was busy leaving.
                late = [updates.get_nowait() for _ in range(updates.qsize())]
                if finished := list(chain(*map(_pictures_of, late))):
                    await keeper(finished)

    @contextmanager
    def _say_when(self) -> Iterator[None]:
        """Say with the refusal of a job when there will be room for it."""
        try:
            yield
        except BusyError as error:
            headers = {"retry-after": str(self._room.book_s())}
            raise ProblemError(429, str(error), code="busy", headers=headers) from None

    async def _keep(
        self, init_image: InitImage | None, pictures: Sequence[Picture | RetouchedPicture]
    ) -> list[GalleryEntry]:
        add = partial(self.gallery.add, init_image=init_image)
        pictures = [picture for picture in pictures if picture.request is not None]
        work = asyncio.to_thread(lambda: [add(picture) for picture in pictures])
        # Shielded, since a client that leaves at this very moment must not lose what is finished.
        return await asyncio.shield(work)


@dataclass(kw_only=True)
class JobResult:
    """What has become of a job."""

    pictures: list[Picture] = field(default_factory=list)
    """Those that were finished, in the order of their requests."""
    entries: list[GalleryEntry] = field(default_factory=list)
    """Theirs in the gallery; none if they were not to be kept."""
    cancelled: bool = False
    """Whether somebody cancelled it."""


async def finish(run: AsyncGenerator[JobStep, None]) -> JobResult:
    """Follow a `Jobs.run` to its end."""
    result = JobResult()
    async with aclosing(run) as steps:
        async for step in steps:
            if isinstance(step, Kept):
                result.pictures += step.pictures
                result.entries += step.entries
            result.cancelled = isinstance(step, Cancelled)
    return result


async def _follow(ticket: Ticket, updates: JobUpdates, news: _News, keeper: Keeper) -> None:
    """Note each update of the engine at once, for others to see, and queue it for the client to read."""
    try:
        while True:
            update = await updates.get()
            if isinstance(update, Painted):
                entries = await keeper(update.pictures)
                ticket.kept += len(entries)
                news.put(Kept(pictures=update.pictures, entries=tuple(entries)))
            elif isinstance(update, Retouched):
                kept = await keeper([update.picture])
                news.put(KeptRetouch(picture=update.picture, entry=kept[0] if kept else None))
            elif update is None:
                ticket.cancel()  # at once: whoever reads the news may be stuck in sending the last
                news.put(ProblemError(499, "the client left, and its job was cancelled", code="left"))
            elif isinstance(update, Failed):
                status, message = 400 if update.at_fault else 500, hide_paths(update.message)
                code = "invalid_value" if update.at_fault else "failed"
                news.put(ProblemError(status, message, code=code, param=update.blamed, problem_id=update.id))
            else:
                ticket.note(update)
                news.put(update)
    except Exception as error:  # noqa: BLE001 (such as a full disk; raised again where the client waits)
        news.put(error)


async def finish_retouch(run: AsyncGenerator[JobStep, None]) -> RetouchedPicture | None:
    """Follow a `Jobs.retouch` to its end; return None if somebody else cancelled the job."""
    async with aclosing(run) as steps:
        async for step in steps:
            if isinstance(step, KeptRetouch):
                return step.picture
    return None


def _pictures_of(update: JobUpdate | None) -> tuple[Picture | RetouchedPicture, ...]:
    """Return what an update of the engine brings."""
    if isinstance(update, Retouched):
        return (update.picture,)
    return update.pictures if isinstance(update, Painted) else ()


async def _keep_nothing(_pictures: Sequence[Picture | RetouchedPicture]) -> list[GalleryEntry]:
    return []


def _closing(more: str = "") -> ProblemError:
    message = f"{CLOSING}{more}; ask again when it is back"
    return ProblemError(503, message, code="closing", headers={"retry-after": str(RESTART_S)})

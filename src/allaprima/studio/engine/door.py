"""What a studio asks of whatever paints for it: one engine here, or a cluster of them elsewhere. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.messages import JobUpdate, LivePrompt, LiveUpdate, RetouchOrder
from allaprima.studio.engine.stats import Snapshot


class LiveDoor(Protocol):
    """One person's live painting, as `LiveSession` has it; any thread."""

    def ask(self, prompt: LivePrompt) -> None:
        """Paint `prompt` from now on; RequestError if there is no such base."""

    def close(self) -> None:
        """Paint nothing more."""


class EngineDoor(Protocol):
    """Live sessions and whole pictures, as `Engine` has them; any thread."""

    def begin(self) -> None:
        """Begin to load the first base and return at once."""

    def close(self) -> None:
        """Cancel every job, close every session and let the device go."""

    def submit(
        self,
        requests: Sequence[GenerationRequest],
        on_update: Callable[[JobUpdate], None],
        *,
        owner: str = "",
        previews: bool = False,
        init_image: InitImage | None = None,
    ) -> Job:
        """Queue `requests` to be painted as one job; RequestError or BusyError if they are refused."""

    def retouch(self, order: RetouchOrder, on_update: Callable[[JobUpdate], None], *, owner: str = "") -> Job:
        """Queue a picture to be retouched, as `submit` queues pictures to be painted."""

    def open_live(self, on_update: Callable[[LiveUpdate], None]) -> LiveDoor:
        """Open a live session; BusyError if there is no room."""

    def defaults(self, base: str) -> RequestDefaults | None:
        """Return what `base` paints where nobody says otherwise; None before it was loaded."""

    def reads_layout(self, base: str) -> bool:
        """Return whether `base` was loaded and is told what stands where."""

    @property
    def alive(self) -> bool:
        """Whether it was begun and neither closed nor broken."""

    @property
    def is_loading(self) -> bool:
        """Whether it was begun and its first base is still to come."""

    @property
    def load_error(self) -> BaseException | None:
        """What kept the first base from being loaded, None if nothing did so far."""

    def when_loaded(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the first base is loaded or cannot be; perhaps now."""

    def stats(self) -> Snapshot:
        """Return the counters since the start and what waits now, at once."""

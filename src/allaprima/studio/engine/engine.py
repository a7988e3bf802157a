"""The engine: one thread that owns the device, and the doors to it that any thread may use.

    with Engine(lambda base: Painter.load(base)) as engine:
        session = engine.open_live(on_update)
        session.ask(LivePrompt(sequence=1, prompt="a cat"))
        job = engine.submit([GenerationRequest(prompt="a cat")], on_update)

Updates come on the engine's thread, which paints nothing while a callback runs: hand them on and return at once
(an event loop's `call_soon_threadsafe`). A callback that raises ends its own session or job, and no other.
Importing this loads no torch; starting an engine does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from allaprima.core.base_names import shown_name
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.admission import check_base, check_job, check_retouch
from allaprima.studio.engine.engine_loop import EngineLoop
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import JobUpdate, LiveUpdate, RetouchOrder
from allaprima.studio.engine.stats import Snapshot

if TYPE_CHECKING:
    from allaprima.core.request_defaults import RequestDefaults
    from allaprima.paint.painter import Painter


class Engine:
    """Live sessions and whole pictures on one device.

    Args:
        painter_factory: loads one of `bases`; called on the engine's thread, once per base and again when it
            was dropped to make room for others. It raises UserError for a base that cannot be had.
        bases: what may be asked for, paths by the names that `shown_name` gives them; `start` loads the first.
        limits: how much may wait, and how many share a pass.
        models_dirs: folders of models in which upscalers lie.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        painter_factory: Callable[[str], Painter],
        *,
        bases: Sequence[str] = ("vignette",),
        limits: Limits | None = None,
        models_dirs: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not bases:
            raise ValueError("got no bases; expected at least one name")
        specs = {shown_name(base): base for base in bases}
        self.bases = tuple(specs)
        self.limits = limits or Limits()
        self._worker = EngineLoop(lambda base: painter_factory(specs[base]), self.limits, clock, models_dirs)
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to load the first base and return at once; what is asked for meanwhile waits for it.

        If it cannot be loaded, `load_error` says why, and the engine stops.
        """
        if self._thread is not None:
            raise RuntimeError("the engine was started before; an engine is started once")
        self._thread = threading.Thread(
            target=self._worker.run, args=(self.bases[0],), name="allaprima-engine", daemon=True
        )
        self._thread.start()

    def start(self) -> None:
        """Load the first base and begin to paint; returns when it is loaded.

        Raises:
            UserError: its weights are missing or damaged.
        """
        self.begin()
        try:
            self._worker.wait_until_loaded()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop after the step under way, cancel every job, close every session and end the thread.

        May be called at any time and more than once; not from a callback.
        """
        self._worker.close()
        if self._thread is None:
            self._worker.finish()
        else:
            self._thread.join()

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self,
        requests: Sequence[GenerationRequest],
        on_update: Callable[[JobUpdate], None],
        *,
        owner: str = "",
        previews: bool = False,
        init_image: InitImage | None = None,
    ) -> Job:
        """Queue `requests` to be painted as one job.

        Args:
            requests: the pictures, at least one.
            on_update: called with each update, on the engine's thread.
            owner: who asks; owners take turns, however many jobs one of them queues.
            previews: put a JPEG of what each step has come to into Progress, at the cost of a decode per step.
            init_image: what all of them are painted over; None: nothing.

        Raises:
            RequestError: there are no pictures or too many, or a base is not among `bases`.
            BusyError: too many jobs wait, or the engine is closed.
        """
        check_job(requests, self.bases, self.limits.pictures_per_job)
        job = tuple(requests)
        return self._worker.submit(job, on_update, owner=owner, previews=previews, init_image=init_image)

    def retouch(self, order: RetouchOrder, on_update: Callable[[JobUpdate], None], *, owner: str = "") -> Job:
        """Queue a picture to be retouched, as `submit` queues pictures to be painted.

        Raises:
            RequestError: there is nothing to do, or the base that is to paint is not among `bases`.
            BusyError: too many jobs wait, or the engine is closed.
        """
        check_retouch(order, self.bases)
        return self._worker.submit((), on_update, owner=owner, previews=False, init_image=None, retouch=order)

    def open_live(self, on_update: Callable[[LiveUpdate], None]) -> LiveSession:
        """Open a live session whose frames and failures `on_update` gets, on the engine's thread.

        Raises:
            BusyError: too many sessions are open, or the engine is closed.
        """
        return self._worker.open_live(on_update, lambda base: check_base(base, self.bases))

    def defaults(self, base: str) -> RequestDefaults | None:
        """Return size, steps and guidance of `base` where nobody asks for others; None before it was loaded."""
        return self._worker.defaults(base)

    def reads_layout(self, base: str) -> bool:
        """Return whether `base` was loaded and is told what stands where."""
        return self._worker.reads_layout(base)

    @property
    def alive(self) -> bool:
        """Whether it was started and neither closed nor broken."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_loading(self) -> bool:
        """Whether it was started and its first base is still to come."""
        return self.alive and not self._worker.is_loaded

    @property
    def load_error(self) -> BaseException | None:
        """What kept the first base from being loaded, None if nothing did so far."""
        return self._worker.load_error

    def when_loaded(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the first base is loaded or cannot be, on the engine's thread; perhaps now."""
        self._worker.when_loaded(callback)

    def stats(self) -> Snapshot:
        """Return the counters since the start and what waits now; any thread, at once."""
        return self._worker.snapshot()

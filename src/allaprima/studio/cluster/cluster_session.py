"""A live session of a cluster: it stays with one replica, and goes on at another if that is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field, replace

from allaprima.core.init_image import InitImage
from allaprima.studio.cluster.placement import outfit_of
from allaprima.studio.cluster.wire import LiveOrder
from allaprima.studio.engine.admission import check_base
from allaprima.studio.engine.messages import LiveFailed, LivePrompt, LiveUpdate


@dataclass(eq=False, kw_only=True)
class ClusterSession:
    """One person's live painting. `ask` and `close` are for any thread, everything else for the cluster's."""

    number: int
    on_update: Callable[[LiveUpdate], None]
    bases: Collection[str]
    """Names that a prompt may ask for."""
    pass_on: Callable[[ClusterSession, LivePrompt | None], None]
    """Tells the cluster of a prompt; None: the session was closed."""
    closed: bool = False
    """Whether it was closed, by either side."""
    prompt: LivePrompt | None = None
    """What is to be seen; None before the first prompt, and after one that is blank or cannot be painted."""
    is_final: bool = False
    """Whether the last frame of that was seen, so that nothing more has to be painted for it."""
    _last: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _frames: int = 0
    _sent_image: InitImage | None = None
    """What the replica has been told that the session paints over."""

    def ask(self, prompt: LivePrompt) -> None:
        """Paint `prompt` from now on, as `LiveSession.ask`; RequestError if there is no such base."""
        check_base(prompt.settings.base, self.bases)
        with self._lock:
            if self.closed or prompt.sequence <= self._last:
                return
            self._last = prompt.sequence
            self.pass_on(self, prompt)

    def close(self) -> None:
        """Paint nothing more. May be called more than once."""
        with self._lock:
            if not self.closed:
                self.closed = True
                self.pass_on(self, None)

    @property
    def outfit(self) -> Hashable:
        """What a replica wears for its prompt; None while it has none."""
        settings = None if self.prompt is None else self.prompt.settings
        return None if settings is None else outfit_of(settings.base, settings.loras)

    def move(self) -> None:
        """Forget what a replica knew, for another is to go on."""
        self._sent_image = None

    def order(self, prompt: LivePrompt) -> LiveOrder:
        """Return what its replica is told; a picture that it has is not sent again."""
        self.prompt, self.is_final = None if prompt.blank else prompt, False
        image, before = prompt.init_image, self._sent_image
        same = image is not None and (image is before or image == before)
        self._sent_image = image
        return LiveOrder(
            number=self.number, prompt=replace(prompt, init_image=None) if same else prompt, same_image=same
        )

    def follow(self, update: LiveUpdate) -> LiveUpdate:
        """Return what its replica says in the words of the session, whose frames are counted without gaps."""
        if isinstance(update, LiveFailed):
            if self.prompt is not None and self.prompt.sequence == update.sequence:
                self.prompt = None
            return update
        self._frames += 1
        if self.prompt is not None and self.prompt.sequence == update.sequence:
            self.is_final = update.final
        return update if update.frame == self._frames else replace(update, frame=self._frames)

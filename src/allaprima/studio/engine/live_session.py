"""A live session's door, and the rules of live painting that need no model. No torch.

* The newest prompt wins: a session holds one prompt that waits, and a newer one takes its place.
* A picture comes at 1 step first, then finer while the prompt rests (`finish.py`).
* What is being painted for a prompt that was superseded is dropped, unless frames are quick or the session has seen
  nothing for a while: somebody who types faster than the device paints would see nothing at all.
* Bases that take long wait for a pause in the typing (`Debounce`), and finer pictures wait for a short one: a step
  under way when a key is pressed would keep that key waiting.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from allaprima.studio.engine.messages import LivePrompt, LiveUpdate

PATIENCE_S = 0.25
"""A session that has waited so long for a frame gets the one begun, even if it was superseded."""
SMOOTH_S = 0.1
"""Below this mean time of a first frame one begun is always finished: a slider moves sixty times a second, and giving
up what it supersedes would show a jump every quarter of a second in place of a movement."""
SLOW_S = 1.5
"""Above this mean time of a first frame, painting waits for a pause in the typing."""
PAUSE_S = 0.25
"""How long a pause must be then."""
LONGEST_WAIT_S = 3.0
"""And how long it is waited for at most. All three as in krita-ai-diffusion's live mode."""
REST_S = 0.12
"""For how long nothing new was asked when a picture is made finer; somebody at 12 keystrokes a second is typing."""
QUICK_S = 0.01
"""Below this mean time of a first frame nobody notices a step in the way, and nothing waits for that."""


def prompt_key(prompt: LivePrompt) -> Hashable:
    """Return what a prompt's pictures depend on as far as can be told without a model.

    Equal keys, same pictures, at equal steps and quality.

    An underpainting is compared, not hashed: mostly it is the very same object, or differs within a few rows.
    """
    request = prompt.request
    # Without guidance it does not matter what the negative prompt says, but a remark tells that there is one.
    against = bool(request.negative_prompt) if request.guidance <= 1.0 else request.negative_prompt
    return (
        request.base, request.prompt, against, request.guidance, request.width, request.height, request.seed,
        request.schedule, request.loras, request.layout, request.complete_layout, prompt.init_image,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PendingPrompt:
    """A prompt as it arrived."""

    prompt: LivePrompt
    at: float
    """When it came."""
    since: float
    """When the first prompt came that it stands for: those it superseded were waiting too."""
    superseded: int
    """How many that were."""


@dataclass(eq=False)
class LiveSession:
    """One person's live painting; every method may be called from any thread and returns at once."""

    number: int
    on_update: Callable[[LiveUpdate], None]
    check_base: Callable[[str], None]
    door: threading.Condition
    clock: Callable[[], float]
    ring: Callable[[], None]
    waiting: PendingPrompt | None = None
    """The prompt that nobody has begun to paint."""
    closed: bool = False
    """Whether it was closed, by either side."""
    _last: int = -1

    def ask(self, prompt: LivePrompt) -> None:
        """Paint `prompt` from now on, in place of what was asked before.

        A prompt whose sequence number is not above the last is ignored, as is any after `close`.

        Raises:
            RequestError: the engine has no such base.
        """
        self.check_base(prompt.settings.base)
        with self.door:
            if self.closed or prompt.sequence <= self._last:
                return
            self._last = prompt.sequence
            now, before = self.clock(), self.waiting
            since, superseded = (now, 0) if before is None else (before.since, before.superseded + 1)
            self.waiting = PendingPrompt(prompt=prompt, at=now, since=since, superseded=superseded)
        self.ring()

    def close(self) -> None:
        """Paint nothing more; at most the update under way still comes. May be called more than once."""
        with self.door:
            self.closed, self.waiting = True, None
        self.ring()

    def take(self, pending: PendingPrompt) -> bool:
        """Hand over the waiting prompt, if it is still `pending`; return whether it was."""
        with self.door:
            taken = self.waiting is pending
            if taken:
                self.waiting = None
        return taken


@dataclass
class Debounce:
    """How long the painting of one base should wait for the typing to pause."""

    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=10))

    def note(self, seconds: float) -> None:
        """Remember how long a first frame took."""
        self._seconds.append(seconds)

    def due(self, pending: PendingPrompt) -> float:
        """Return the moment from which `pending` may be painted."""
        if self._mean <= SLOW_S:
            return pending.at
        return min(pending.at + PAUSE_S, pending.since + LONGEST_WAIT_S)

    @property
    def patience_s(self) -> float:
        """How many seconds a session may see nothing because what it asked for was superseded."""
        return 0.0 if self._seconds and self._mean <= SMOOTH_S else PATIENCE_S

    def rested(self, at: float) -> float:
        """Return the moment from which a picture asked for at `at` may be made finer."""
        return at + REST_S if self._mean > QUICK_S else at

    @property
    def _mean(self) -> float:
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

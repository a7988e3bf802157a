"""What goes into the engine and what comes out of it, as plain records. No torch.

Into a live session go :class:`LivePrompt` s with rising sequence numbers; out come :class:`Frame` s that say which
prompt they show, and :class:`LiveFailed`. A job of whole pictures reports :data:`JobUpdate` s: any number of
Queued and Progress, Painted for each picture, then exactly one of Done, Failed and
Cancelled; of one that retouches a picture Retouched comes in the place of Painted and Done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.layout import Layout, PaintedLayout
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest, LoraUse, Quality
from allaprima.core.retouch import Operation
from allaprima.core.retouched import RetouchedPicture

MAX_LIVE_STEPS = 8
MAX_SEQUENCE = 2**53 - 1
"""The largest whole number that JavaScript counts exactly."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """All that a live picture depends on besides its prompt. Raises RequestError for values out of range."""

    width: int = 256
    """Pixels."""
    height: int = 256
    """Pixels."""
    seed: int = 0
    """Seed of the noise; as long as it stays, changing one word changes one thing."""
    guidance: float = 1.0
    """As in a `GenerationRequest`; 1 takes half the time of any other."""
    steps: int = 4
    """How far a picture is refined while the prompt rests, 1 to 8: after 1 step come 2, 4 and so on up to it."""
    quality: Quality = "high"
    """How finely the JPEG is written."""
    negative_prompt: str = ""
    """What guidance leads away from."""
    loras: tuple[LoraUse, ...] = ()
    """LoRAs that act on the base."""
    base: str = "vignette"
    """The name of the base model."""
    schedule: str | None = None
    """The name of a schedule that the base knows; None for the base's own."""
    layout: Layout = ()
    """What stands where, as in a `GenerationRequest`."""
    complete_layout: bool = True
    """Whether what it leaves open is completed from the seed."""
    template: str = ""
    """The words whose choices the prompt was made of, as in a `GenerationRequest`."""
    negative_template: str = ""
    """The same of the negative prompt."""

    def __post_init__(self) -> None:
        request = self.request("a picture", 1)
        object.__setattr__(self, "layout", request.layout)
        object.__setattr__(self, "guidance", request.guidance)
        object.__setattr__(self, "loras", request.loras)
        object.__setattr__(self, "base", request.base)
        if not _is_whole(self.steps, 1, MAX_LIVE_STEPS):
            raise RequestError(f"got {str(self.steps)[:40]} live steps; expected 1 to {MAX_LIVE_STEPS}")

    def request(self, prompt: str, steps: int) -> GenerationRequest:
        """Return the request for a picture of `prompt` in so many steps."""
        return GenerationRequest(**vars(self) | {"prompt": prompt, "steps": steps})


@dataclass(frozen=True, kw_only=True)
class LivePrompt:
    """What is to be seen now. Raises RequestError for values out of range."""

    sequence: int
    """Counts up within a session, 0 to 2**53 - 1; gaps are allowed."""
    prompt: str
    """Words; a blank prompt stops the painting and is answered by nothing."""
    said: str | None = None
    """The words as the client wrote them, tags of LoRAs and all, which frames repeat; None where that is `prompt`."""
    settings: LiveSettings = field(default_factory=LiveSettings)
    """Everything else."""
    init_image: InitImage | None = None
    """What it is painted over, of the settings' size; each frame takes all its steps, from its strength's level."""

    def __post_init__(self) -> None:
        if not _is_whole(self.sequence, 0, MAX_SEQUENCE):
            raise RequestError(f"got sequence number {str(self.sequence)[:40]}; expected 0 to {MAX_SEQUENCE}")
        if not self.blank:
            _ = self.request
        over, size = self.init_image, (self.settings.width, self.settings.height)
        if over is None:
            return
        if (over.width, over.height) != size:
            raise RequestError(f"got {over.width}x{over.height} to paint over; expected {size[0]}x{size[1]}")
        if not over.full_steps:  # a share of a first frame's one step is one step from pure noise
            object.__setattr__(self, "init_image", replace(over, full_steps=True))

    @property
    def blank(self) -> bool:
        """Whether it asks for nothing."""
        return not str(self.prompt).strip()

    @cached_property
    def request(self) -> GenerationRequest:
        """The picture at the session's full number of steps."""
        return self.settings.request(self.prompt, self.settings.steps)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One live picture."""

    sequence: int
    """The prompt it shows."""
    frame: int
    """Counts the session's frames from 1 without gaps."""
    steps: int
    """Sampler steps it was painted in."""
    prompt: str
    """The words it shows."""
    jpeg: bytes = field(repr=False)
    """The file, with its request inside."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    final: bool
    """Nothing finer will follow for this prompt."""
    repeated: bool = False
    """The picture is the last frame's: what changed makes no difference to it, and nothing was painted."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds: total (since the prompt came, for its first frame), and by stage text, denoise, decode, encode
    of the pass, which other sessions may have shared."""
    dropped: int = 0
    """Prompts since the last frame that were overtaken by a newer one and never shown."""
    strength: float | None = None
    """How strongly a picture was painted over; None where there was none."""
    masked: bool = False
    """Whether a part of that picture alone was painted over."""
    remarks: tuple[str, ...] = ()
    """As those of a `Picture`."""
    layout: PaintedLayout | None = None
    """What the base was told stands where, completed; None where it was told nothing."""


@dataclass(frozen=True, kw_only=True)
class LiveFailed:
    """This prompt cannot be painted; the session goes on with the next."""

    sequence: int
    """The prompt."""
    message: str
    """One sentence for the person who typed it."""
    id: str
    """Found in the log beside the cause."""


LiveUpdate = Frame | LiveFailed


@dataclass(frozen=True, kw_only=True)
class Queued:
    """The job waits; sent again when its position changes."""

    position: int
    """Jobs that will be begun before it; 0 is next."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A step was taken."""

    picture: int
    """Which of the job's pictures, from 1."""
    pictures: int
    """How many the job has."""
    step: int
    """Steps taken on this picture; 0 when it is begun."""
    total: int
    """Steps of this picture."""
    preview: bytes | None = field(default=None, repr=False)
    """What the picture would be if it ended here, a JPEG; None unless previews were asked for."""
    remarks: tuple[str, ...] = ()
    """What the picture's request says and it will not honour, a sentence each."""


@dataclass(frozen=True, kw_only=True)
class Painted:
    """Some of the job's pictures are finished; the others go on."""

    pictures: tuple[Picture, ...]
    """One or more, in the order of the requests."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The job is finished."""

    pictures: tuple[Picture, ...]
    """One per request that was not skipped, in order; `Picture.encode` makes files of them."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds: queue (waiting to be begun) and total (since then)."""


@dataclass(frozen=True, kw_only=True)
class RetouchOrder:
    """A picture, and what is to be done to it."""

    picture: RetouchedPicture
    operations: tuple[Operation, ...]


@dataclass(frozen=True, kw_only=True)
class Retouched:
    """The job was to retouch a picture, and is finished."""

    picture: RetouchedPicture


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended without its pictures."""

    message: str
    """One sentence for the person who asked."""
    id: str
    """Found in the log beside the cause."""
    at_fault: bool = False
    """What was asked for is the reason, so that asking the same again is of no use."""
    blamed: str | None = None
    """The field of the request that is the reason, where it is one."""


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The job was cancelled, or the engine was closed."""


JobUpdate = Queued | Progress | Painted | Done | Retouched | Failed | Cancelled


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

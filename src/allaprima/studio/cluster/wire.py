"""What a cluster and its replicas say to each other, as plain records. No torch.

A cluster orders: jobs and live prompts, each under a number of the cluster's. A replica tells what its engine says of
them, now and then how it fares, and once that it is leaving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from allaprima.core.errors import AllaPrimaError
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.studio.engine.messages import JobUpdate, LivePrompt, LiveUpdate, RetouchOrder
from allaprima.studio.engine.stats import Snapshot


@dataclass(frozen=True, kw_only=True)
class JobOrder:
    """Paint these, or retouch that."""

    number: int
    """The job."""
    requests: tuple[GenerationRequest, ...]
    """The pictures; none where one is retouched."""
    previews: bool = False
    """As in `Engine.submit`."""
    init_image: InitImage | None = None
    """As in `Engine.submit`."""
    retouch: RetouchOrder | None = None
    """The picture to be retouched."""


@dataclass(frozen=True, kw_only=True)
class CancelOrder:
    """Stop a job."""

    number: int


@dataclass(frozen=True, kw_only=True)
class SkipOrder:
    """Leave out the picture of a job that is painted now."""

    number: int


@dataclass(frozen=True, kw_only=True)
class LiveOrder:
    """Show this in a live session, which is opened if it is not."""

    number: int
    """The session."""
    prompt: LivePrompt
    """What to show."""
    same_image: bool = False
    """It is painted over what the session's last prompt was painted over, which is not sent again."""


@dataclass(frozen=True, kw_only=True)
class CloseOrder:
    """End a live session."""

    number: int


ClusterOrder = JobOrder | CancelOrder | SkipOrder | LiveOrder | CloseOrder


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """A replica has come, and loads its first base."""

    version: str
    """Of this package."""
    pid: int
    """Its process."""
    bases: tuple[str, ...]
    """What it can paint with."""


@dataclass(frozen=True, kw_only=True)
class LoadFailure:
    """The first base cannot be loaded; nothing more will come."""

    error: AllaPrimaError


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How a replica fares: told when its first base is loaded, and twice a second from then on."""

    snapshot: Snapshot
    """What its engine counted."""
    defaults: Mapping[str, RequestDefaults] = field(default_factory=dict)
    """Of the bases that it has loaded so far."""
    layout_readers: tuple[str, ...] = ()
    """Those of them that are told what stands where."""


@dataclass(frozen=True, kw_only=True)
class JobWord:
    """What the engine says of a job. The pictures of a Done were told as Painted and are left out of it."""

    number: int
    update: JobUpdate


@dataclass(frozen=True, kw_only=True)
class LiveWord:
    """What the engine says in a live session."""

    number: int
    update: LiveUpdate


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """The replica was told to end: it takes nothing new, finishes its job, and ends when the cluster hangs up."""


Word = Greeting | LoadFailure | Pulse | JobWord | LiveWord | Leaving

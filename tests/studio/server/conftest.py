"""A real server on loopback: uvicorn in a thread, a real engine, a base whose right answer is known."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import torch
import uvicorn
from tests.tiny import SteadyBase

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.base import TextStates
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.limits import Limits
from allaprima.studio.server.app import create_app, server_options
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.settings import ServerSettings
from allaprima.studio.server.studio import BaseCard, Studio
from allaprima.studio.server.transport import StudioServer

CARD = BaseCard(
    name="vignette",
    family="vignette",
    defaults=RequestDefaults(width=128, height=64, steps=4, guidance=1.0),
)


@dataclass
class PacedBase(SteadyBase):
    """A SteadyBase that takes `pace_s` for every prediction, or waits while `held` is set."""

    pace_s: float = 0.0
    held: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        deadline = time.monotonic() + 20
        while self.held.is_set() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(self.pace_s)
        if self.fails:
            raise RuntimeError("the secret path /home/me/weights is broken")
        return super().predict(latents, t, text)


@dataclass
class Served:
    """A server that runs, and its parts."""

    url: str
    base: PacedBase
    studio: Studio
    gallery_folder: Path
    stop: Callable[[], None]
    """Ends it as a signal does, and returns once it has ended."""
    runs: Callable[[], bool]
    """Says whether it still does."""

    def client(self, **headers: str) -> httpx2.Client:
        """Return a client; the token, if any, is for the caller to add."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.Client(base_url=self.url, headers=named, timeout=20, trust_env=False)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server; all are stopped at the end."""
    with ExitStack() as stack:

        def start(
            settings: ServerSettings | None = None,
            *,
            base: PacedBase | None = None,
            loras: LoraCards | None = None,
            limits: Limits | None = None,
            painters: Mapping[str, Painter] | None = None,
            load: Callable[[str], Painter] | None = None,
            tls: ssl.SSLContext | None = None,
        ) -> Served:
            chosen, painted_with = settings or ServerSettings(), base or PacedBase()
            folder = tmp_path / "gallery"
            models_dirs = (tmp_path / "models",)
            known = painters or {CARD.name: Painter(base=painted_with)}
            engine = Engine(
                load or known.__getitem__, bases=tuple(known), limits=limits, models_dirs=models_dirs
            )
            stack.callback(engine.close)
            (engine.start if load is None else engine.begin)()
            cards = {CARD.name: CARD} if painters is None else {name: _card(known[name]) for name in known}
            studio = Studio(
                engine=engine,
                gallery=Gallery.open(folder),
                settings=chosen,
                bases=cards,
                loras=loras or LoraCards(tmp_path / "loras"),
                models_dirs=models_dirs,
            )
            port, stop, runs = _run(studio, stack, tls)
            url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
            return Served(
                url=url, base=painted_with, studio=studio, gallery_folder=folder, stop=stop, runs=runs
            )

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    """Return a server with the default settings."""
    return serve()


def _card(painter: Painter) -> BaseCard:
    """Return what clients see of a real base."""
    base, traits = painter.base, painter.base.traits
    return BaseCard(
        name=base.name,
        family=base.family,
        defaults=base.defaults,
        all_schedules=traits.schedules,
        fixed_size=traits.fixed_size,
        stride=traits.stride,
        reads_references=traits.reads_references,
        reads_layout=base.reads_layout,
    )


def _run(
    studio: Studio, stack: ExitStack, tls: ssl.SSLContext | None
) -> tuple[int, Callable[[], None], Callable[[], bool]]:
    bound = stack.enter_context(socket.socket(proto=socket.IPPROTO_TCP))
    bound.bind(("127.0.0.1", 0))
    bound.listen(256)
    server = StudioServer(
        uvicorn.Config(create_app(studio), **server_options(studio.settings, tls)), studio.jobs
    )

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.run(server.serve([bound]))

    thread = threading.Thread(target=run, name="server")
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    def end() -> None:
        studio_held(studio)
        stop()
        studio.gallery.close()

    stack.callback(end)
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    return int(bound.getsockname()[1]), stop, thread.is_alive


def studio_held(studio: Studio) -> None:
    """Let nothing wait any more, so that the server can stop."""
    for ticket in list(studio.jobs.tickets.values()):
        ticket.cancel()

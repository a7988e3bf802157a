"""A studio that really runs, on the loopback, and a browser to look at it with."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Playwright
from safetensors.torch import load_file, save_file

from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.bases.vignette.traits import TRAITS
from allaprima.paint.lora.files.folder import SHIPPED
from allaprima.paint.painter import Painter
from allaprima.studio.engine.engine import Engine
from allaprima.studio.server.app import create_app, server_options
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.lora_cards import LoraCards
from allaprima.studio.server.settings import ServerSettings
from allaprima.studio.server.studio import BaseCard, Studio

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--no-first-run", "--disable-gpu", "--font-render-hinting=none",
)  # fmt: skip


def find_browser() -> str | None:
    """Return the Chromium that the system has; ALLAPRIMA_BROWSER names another."""
    return os.environ.get("ALLAPRIMA_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


def open_browser(playwright: Playwright, executable: str) -> Browser:
    """Start it without a window and without the errands that a browser runs of its own."""
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = [*QUIET, *(["--no-sandbox"] if as_root else [])]
    return playwright.chromium.launch(executable_path=executable, args=arguments)


@dataclass
class RunningStudio:
    """A server that can be stopped and started again at the same address."""

    folder: Path
    """The gallery lies here."""
    weights: Path | None
    """Vignette's; None for those that ship."""
    loras: Path
    """The folder of LoRAs."""
    port: int = 0
    token: str | None = None
    """What the page asks for; None lets everyone in."""
    held: threading.Event | None = None
    """What the base is loaded after, beside the open server; None: it is loaded before that opens."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self) -> Iterator[Studio]:
        """Serve for the with-block."""
        settings = ServerSettings(port=self.port, token=self.token)
        card = BaseCard(
            name="vignette",
            family="vignette",
            defaults=replace(TRAITS.defaults, steps=10, guidance=1.0),
            fixed_size=True,
            starters=TRAITS.starters,
        )
        engine = Engine(self._load)
        with closing(Gallery.open(self.folder)) as gallery, closing(engine), _bind(self.port) as bound:
            (engine.start if self.held is None else engine.begin)()
            self.port = bound.getsockname()[1]
            studio = Studio(
                engine=engine,
                gallery=gallery,
                settings=settings,
                bases={card.name: card},
                loras=LoraCards(
                    self.loras, behind=weights_folder() / SHIPPED if self.weights is None else None
                ),
            )
            config = uvicorn.Config(create_app(studio), **server_options(settings))
            with _serving(uvicorn.Server(config), bound):
                yield studio

    def _load(self, _: str) -> Painter:
        assert self.held is None or self.held.wait(60)
        return Painter.load(folder=self.weights, lora_dir=self.loras)


@contextmanager
def _bind(port: int) -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen()
        yield bound


@contextmanager
def _serving(server: uvicorn.Server, bound: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it had begun"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


def write_loras(folder: Path, weights: Path, colors: dict[str, tuple[int, int, int]]) -> Path:
    """Write a LoRA of one attention layer for each name, with a picture of that colour beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    denoiser = load_file(weights / "denoiser.safetensors")
    key = next(name for name in denoiser if name.endswith("attn.to_out.0.weight"))
    out, inside = denoiser[key].shape
    layer = "transformer.transformer_blocks." + key.split("transformer_blocks.")[1].removesuffix(".weight")
    draw = torch.Generator().manual_seed(0)
    for name, color in colors.items():
        tensors = {
            f"{layer}.lora_A.weight": torch.randn(4, inside, generator=draw),
            f"{layer}.lora_B.weight": torch.randn(out, 4, generator=draw),
        }
        save_file(tensors, folder / f"{name}.safetensors")
        Image.new("RGB", (64, 64), color).save(folder / f"{name}.png")
    return folder

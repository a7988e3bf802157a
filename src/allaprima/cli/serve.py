"""`prima serve`: the studio in a browser, and for every program that speaks OpenAI's or A1111's image routes."""

from __future__ import annotations

import secrets
import socket
import ssl
import sys
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, check_memory, print_json, printable
from allaprima.cli.paint_options import (
    Cache,
    ContentCredentialsFiles,
    LoraDir,
    Memory,
    ModelsDirs,
    Quantize,
    TextEncoderFile,
    VaeFile,
    WildcardDir,
)
from allaprima.cli.replicas import ClusterOptions, open_engine
from allaprima.core.base_names import shown_name
from allaprima.core.content_credentials import ContentCredentials
from allaprima.core.errors import UserError, WeightsError
from allaprima.core.models_folders import listed_folders
from allaprima.core.report_place import REPORTS
from allaprima.core.wildcard_folder import WildcardFolder, existing_wildcards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import Located
    from allaprima.paint.painter import Painter
    from allaprima.studio.server.settings import ServerSettings
    from allaprima.studio.server.studio import BaseCard, Studio

app = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Where the studio is reached, and by whom."""

    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: this machine alone.", show_default=False),
    ] = None
    listen: Annotated[bool, typer.Option("--listen", help="Let the network in; needs a token.")] = False
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 7860
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ALLAPRIMA_TOKEN",
            help="What clients must show. Default: a new one when the network is let in, else none.",
            show_default=False,
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further host name that browsers may call it by.")
    ] = None
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may use the API, such as https://example.com."),
    ] = None
    root_path: Annotated[
        str,
        typer.Option(help="Path under which a proxy shows the studio, such as /studio.", show_default=False),
    ] = ""
    strict_sizes: Annotated[
        bool,
        typer.Option(
            "--strict-sizes", help="Refuse sizes that a base does not paint; do not scale pictures."
        ),
    ] = False
    certificate: Annotated[
        Path | None, typer.Option(help="TLS certificate (PEM); with --key the studio speaks https.")
    ] = None
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None


@app.command()
@spread_options
def serve(
    access: AccessOptions,
    cluster: ClusterOptions,
    base: Annotated[
        list[str] | None,
        typer.Option(help="Base to paint with; may be given again. Default: vignette.", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None,
    models_dir: ModelsDirs = None,
    text_encoder: TextEncoderFile = None,
    vae: VaeFile = None,
    lora_dir: LoraDir = None,
    wildcard_dir: WildcardDir = None,
    gallery: Annotated[Path, typer.Option(help="Folder that keeps the pictures.")] = Path("gallery"),
    reports: Annotated[
        Path, typer.Option(help="Folder of report cards (prima report), to which the shelf of LoRAs links.")
    ] = REPORTS,
    device: Annotated[
        str | None, typer.Option(help="Device as torch names it. Default: the first GPU.")
    ] = None,
    memory: Memory = None,
    quantize: Quantize = None,
    cache: Cache = None,
    c2pa: ContentCredentialsFiles = None,
    as_json: JsonFlag = False,
) -> None:
    """Open the studio and print its address; Ctrl+C closes it."""
    if access.host is not None and access.listen:
        raise UserError("got --host and --listen; expected one of them, for --listen is --host 0.0.0.0")
    if (access.certificate is None) != (access.key is None):
        raise UserError("got half of --certificate and --key; expected both or neither")
    check_memory(memory)
    cluster.check()
    if (
        weights is not None and not weights.is_dir()
    ):  # told at once; what lies in it is read beside the server
        raise WeightsError(
            f"got --weights {weights}, which is not there; expected a folder of Vignette's weights"
        )
    from allaprima.studio.server.log_lines import write_log
    from allaprima.studio.server.settings import LOOPBACK, ServerSettings

    address = access.host or ("0.0.0.0" if access.listen else "127.0.0.1")  # noqa: S104 (asked for, guarded by a token)
    token = access.token
    if token is None and address not in LOOPBACK:
        token = secrets.token_urlsafe(24)
    settings = ServerSettings(
        host=address, port=access.port, token=token, allowed_hosts=tuple(access.allow_host or ()),
        cors_origins=tuple(access.cors_origin or ()), root_path=access.root_path.rstrip("/"),
        strict_sizes=access.strict_sizes,
    )  # fmt: skip
    write_log(sys.stderr)
    makers = Makers(
        specs=specs_by_name(base or ["vignette"]), weights=weights, lora_dir=lora_dir, wildcard_dir=wildcard_dir,
        models_dirs=tuple(models_dir or ()), device=device, memory_gib=memory, quantize=quantize,
        cache=cache, text_encoder=text_encoder, vae=vae,
    )  # fmt: skip
    makers.check_options()
    certificate, key = access.certificate, access.key
    tls = None if certificate is None or key is None else read_tls(certificate, key)
    credentials = None if c2pa is None else ContentCredentials(*c2pa)
    with (
        bind(settings) as bound,
        open_studio(makers, settings, gallery, cluster, reports, credentials) as studio,
    ):
        run_server(studio, bound, tls, as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class Makers:
    """Which bases there are and how they are loaded."""

    specs: Mapping[str, str]
    """What requests may ask for, and what each base was asked for as, perhaps a path; the first is loaded at once."""
    weights: Path | None = None
    """Vignette's, None for those that ship."""
    models_dirs: tuple[Path, ...] = ()
    """Where other bases may lie."""
    text_encoder: str | None = None
    """The file of the text encoder, for a base in several files; None for the one that fits."""
    vae: str | None = None
    """That of the autoencoder."""
    lora_dir: Path | None = None
    """The folder of LoRAs; None for models/lora here."""
    wildcard_dir: Path | None = None
    """The folder of wildcards; None for models/wildcards here."""
    device: str | None = None
    """As torch names it."""
    memory_gib: float | None = None
    """The most that painting may take; None for as much as there is."""
    quantize: str | None = None
    """What the weights of bases that do not ship are rounded to; None for nothing."""
    cache: str | None = None
    """The step cache of bases that do not ship; None for none."""

    def check_options(self) -> None:
        """Refuse what cannot be rounded or cached, and to do so with nothing: bases that ship stay as they are.

        Raises:
            RequestError: see above.
        """
        from allaprima.paint.bases.loading import check_quantize
        from allaprima.paint.step_cache.setting import StepCacheSetting

        located = list(self.locate().values())
        others = [one for one in located if one.traits.shipped_weights is None]
        for one in others or located:
            check_quantize(one, self.quantize)
            if self.cache is not None:
                StepCacheSetting.parse(self.cache).check(one.name, one.traits)

    def load(self, name: str) -> Painter:
        """Return a painter with the base `name`; called on the engine's thread."""
        from allaprima.paint.painter import Painter
        from allaprima.studio.engine.warmup import warm_up

        ships, named = self.locate()[name].traits.shipped_weights is not None, self._named(self.specs[name])
        painter = Painter.load(
            self.specs[name], folder=self.weights if ships else None, models_dirs=self.models_dirs,
            text_encoder=named.text_encoder, vae=named.vae, lora_dir=self.lora_dir,
            wildcard_dir=self.wildcard_dir, device=self.device,
            memory_gib=self.memory_gib, quantize=None if ships else self.quantize,
            cache=None if ships else self.cache,
        )  # fmt: skip
        painter = replace(painter, waits_for_hash=False)  # live frames may wait meanwhile
        if painter.base.traits.warms_up:
            warm_up(painter)
        return painter

    def load_on(self, name: str, device: str | None) -> Painter:
        """Return a painter with the base `name` on `device`."""
        return replace(self, device=device).load(name)

    def cards(self) -> dict[str, BaseCard]:
        """Return what clients see of the bases before they are loaded: what is usual in their families."""
        from allaprima.core.request_defaults import FEW_STEPS
        from allaprima.studio.server.studio import BaseCard

        cards = {}
        for name, located in self.locate().items():
            traits = located.traits
            schedules = tuple(filter(FEW_STEPS.__contains__, traits.schedules))
            cards[name] = BaseCard(
                name=name, family=located.family, defaults=traits.defaults, schedules=schedules,
                all_schedules=traits.schedules, fixed_size=traits.fixed_size, stride=traits.stride,
                english_only=traits.english_only, starters=traits.starters, reads_references=traits.reads_references,
            )  # fmt: skip
        return cards

    def locate(self) -> dict[str, Located]:
        """Find the bases; UserError if one is not there."""
        from allaprima.paint.bases.loading import locate

        return {name: locate(spec, self.models_dirs, self._named(spec)) for name, spec in self.specs.items()}

    def _named(self, spec: str) -> NamedParts:
        """Return the parts named for the base; of several bases, those that bring their own get none."""
        from allaprima.paint.bases.files.parts import NamedParts
        from allaprima.paint.bases.loading import brings_its_parts

        if len(self.specs) > 1 and brings_its_parts(spec, self.models_dirs):
            return NamedParts()
        return NamedParts(text_encoder=self.text_encoder, vae=self.vae)


def specs_by_name(specs: Sequence[str]) -> dict[str, str]:
    """Return the bases by the names that pictures and answers have for them; UserError if two would be alike."""
    named: dict[str, str] = {}
    for spec in specs:
        name = shown_name(spec)
        if named.setdefault(name, spec) != spec:
            raise UserError(
                f"got two bases called {name!r}, {named[name]} and {spec}; expected names that differ, for pictures "
                "and answers hold no more of a path: rename one"
            )
    return named


def read_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what https is spoken with, by a certificate and its key that belong together."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or "it is damaged, or another's"
        raise UserError(
            f"cannot use the certificate {certificate} with the key {key}: {reason}; expected two PEM files"
        ) from error
    return context


@contextmanager
def bind(settings: ServerSettings) -> Iterator[socket.socket]:
    """Hold the address for the with-block: one that is taken is to be reported before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Only where the protocol is named does asyncio send small answers at once (TCP_NODELAY).
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((settings.host, settings.port))
            bound.listen(2048)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"cannot listen on {settings.host} port {settings.port}: {reason}; expected a free port (--port)"
            ) from error
        yield bound


@contextmanager
def open_studio(
    makers: Makers,
    settings: ServerSettings,
    gallery: Path,
    cluster: ClusterOptions,
    reports: Path = REPORTS,
    credentials: ContentCredentials | None = None,
) -> Iterator[Studio]:
    """Open the gallery for the with-block, beside an engine that is not begun."""
    from allaprima.paint.lora.files.folder import SHIPPED, existing_folder
    from allaprima.studio.server.errors import hide_folder
    from allaprima.studio.server.gallery import Gallery
    from allaprima.studio.server.lora_cards import LoraCards
    from allaprima.studio.server.studio import LoadedCards, Studio

    cards = makers.cards()
    folders = (base.weights_folder(makers.weights) for base in makers.locate().values())
    weights, lora_dir = (
        next(filter(None, folders), None),
        existing_folder(makers.lora_dir, makers.models_dirs),
    )
    wildcards = WildcardFolder(existing_wildcards(makers.wildcard_dir, makers.models_dirs))
    named = (*makers.models_dirs, *listed_folders(makers.models_dirs))
    for folder in filter(None, (weights, lora_dir, wildcards.path, gallery, reports, *named)):
        hide_folder(folder)
    for located in makers.locate().values():
        for path in located.parts.values():
            hide_folder(path.parent)
        if joined := located.joined():
            print(f"prima: {printable(joined)}", file=sys.stderr)
    loras = LoraCards(lora_dir, behind=weights and weights / SHIPPED)
    with (
        closing(Gallery.open(gallery, credentials=credentials)) as opened,
        open_engine(
            makers.load_on,
            cluster,
            bases=tuple(makers.specs),
            models_dirs=makers.models_dirs,
            device=makers.device,
        ) as engine,
    ):
        bases = LoadedCards(cards, engine)
        yield Studio(
            engine=engine, gallery=opened, settings=settings, bases=bases, loras=loras,
            models_dirs=makers.models_dirs, reports=reports, credentials=credentials, wildcards=wildcards,
        )  # fmt: skip


def run_server(studio: Studio, bound: socket.socket, tls: ssl.SSLContext | None, *, as_json: bool) -> None:
    """Serve until the process is stopped, and load the first base meanwhile; raises what keeps it from that."""
    import uvicorn

    from allaprima.studio.server.app import create_app, server_options
    from allaprima.studio.server.transport import StudioServer

    address = _address(studio.settings, bound, secure=tls is not None)

    class Server(StudioServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            studio.engine.begin()  # not before: two threads that import hold up each other
            _announce(address, studio, as_json=as_json)

    config = uvicorn.Config(create_app(studio), **server_options(studio.settings, tls))
    Server(config, studio.jobs).run([bound])
    if studio.engine.load_error is not None:
        raise studio.engine.load_error


def _address(settings: ServerSettings, bound: socket.socket, *, secure: bool) -> str:
    name = settings.host
    if name in ("0.0.0.0", "::"):  # noqa: S104
        own = socket.gethostname()
        name = own if own in settings.allowed_hosts else "127.0.0.1"
    shown = f"[{name}]" if ":" in name else name
    return f"{'https' if secure else 'http'}://{shown}:{bound.getsockname()[1]}"


def _announce(address: str, studio: Studio, *, as_json: bool) -> None:
    settings = studio.settings
    # Behind the # it stays in the browser: no server, proxy or log ever sees it.
    page = address if settings.token is None else f"{address}/login#{quote(settings.token)}"
    print(f"Alla Prima is open at {page}", flush=True)
    if settings.token is not None:
        print(f"Programs show the token as Authorization: Bearer {settings.token}", flush=True)
    if as_json:
        here = copy_context()  # of which the line is; the engine calls back in its own thread
        studio.engine.when_loaded(lambda: here.run(_print_ready, address, studio))
    if studio.engine.is_loading:
        name = studio.first_base.name
        print(f"prima: {name} is being loaded; pictures that are asked for meanwhile wait", file=sys.stderr)


def _print_ready(address: str, studio: Studio) -> None:
    """Print the line of JSON once the first base is loaded: a program that waits for it can paint at once."""
    if studio.engine.load_error is None:
        print_json({"url": address, "token": studio.settings.token})

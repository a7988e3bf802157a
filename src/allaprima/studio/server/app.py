"""The server as one ASGI application.

    app = create_app(studio)
    uvicorn.run(app)

The engine is started and closed by whoever made it. Importing this loads no torch.
"""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from allaprima import __version__
from allaprima.studio.server import (
    a1111_lists,
    a1111_retouch_routes,
    a1111_routes,
    flipbook_routes,
    gallery_routes,
    job_routes,
    live_socket,
    openai_routes,
    page,
    report_routes,
    retouch_routes,
)
from allaprima.studio.server.errors import install_handlers
from allaprima.studio.server.guard import Guard
from allaprima.studio.server.head import CommonMethods
from allaprima.studio.server.loading import WaitForBase
from allaprima.studio.server.metrics import metrics_page
from allaprima.studio.server.page import Assets
from allaprima.studio.server.settings import ServerSettings
from allaprima.studio.server.studio import Studio, StudioDep
from allaprima.studio.server.tls import secure_connections
from allaprima.studio.server.transport import HttpConnection, SocketConnection

STATIC = Path(__file__).parent / "static"
BACKLOG = 128
"""Connections that wait to be accepted; where the system has no descriptors, each of them costs a complaint."""
KEEP_ALIVE_S = 75
CLOSING_S = 2
"""How long connections may take to end when the server is stopped."""


def create_app(studio: Studio, *, static: Path = STATIC) -> FastAPI:
    """Return the application of `studio`, with the page in the folder `static`; AssetError without one."""
    app = FastAPI(
        title="Alla Prima",
        version=__version__,
        description="Paints while you type. OpenAI's and A1111's image routes, a live socket, a gallery.",
        # These pages load scripts from elsewhere, which our own policy forbids; the description itself is served.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.studio = studio
    app.state.assets = Assets.read(static)
    install_handlers(app)
    kept = (gallery_routes, job_routes, retouch_routes, flipbook_routes, report_routes)
    for part in (openai_routes, a1111_routes, a1111_lists, a1111_retouch_routes, *kept):
        app.include_router(part.router)
    for part in (live_socket, page):
        app.include_router(part.router)
    app.add_api_route("/healthz", healthz, tags=["studio"])
    app.add_api_route("/metrics", metrics, tags=["studio"], response_class=Response)
    app.add_middleware(CommonMethods)  # inside the guard, which knows HEAD from GET
    app.add_middleware(WaitForBase, engine=studio.engine)  # inside it too: strangers do not wait
    app.add_middleware(Guard, settings=studio.settings, refused=studio.refused)
    return app


def server_options(settings: ServerSettings, tls: ssl.SSLContext | None = None) -> dict[str, Any]:
    """Return the settings of uvicorn: it trusts no proxy about clients, bounds messages and adds no headers.

    Args:
        settings: the studio's.
        tls: what https is spoken with; None for plain http.
    """
    caps = settings.caps
    return {
        "http": partial(HttpConnection, caps=caps) if tls is None else secure_connections(tls, caps),
        "ws": partial(SocketConnection, caps=settings.caps),
        "backlog": BACKLOG,
        # Longer than the pools of usual clients keep a connection, so that none sends into one that is just closed.
        "timeout_keep_alive": KEEP_ALIVE_S,
        "ws_max_size": settings.caps.live_picture_bytes,
        # Frames are JPEG already; compressing them again costs more than a frame's decode.
        "ws_per_message_deflate": False,
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "lifespan": "off",
        "timeout_graceful_shutdown": CLOSING_S,
    }


async def healthz(studio: StudioDep) -> Response:
    """Return whether the studio paints, and nothing else, without asking for a token."""
    engine = studio.engine
    status = "loading" if engine.is_loading else "ok" if engine.alive else "stopped"
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


def metrics(studio: StudioDep) -> Response:
    """Return numbers for Prometheus."""
    return metrics_page(studio)

"""The page: whatever lies in static/, read once, served by name from memory.

Names are looked up in a table, so none can lead out of the folder. index.html refers to its parts as "static/NAME",
relative, as all addresses of the page are, so that it works behind a proxy under a path. Each such address gets a
digest of all the files put in, so that browsers may keep the parts for ever and still see a new version at once.
Modules import each other by relative addresses and stay within their version.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from allaprima.core.errors import AssetError
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.public_address import public_scheme
from allaprima.studio.server.security import cookie_header, same_secret
from allaprima.studio.server.studio import Studio, StudioDep

router = APIRouter(include_in_schema=False)

COOKIE_LIFETIME_S = 30 * 24 * 3600
FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html",
    ".svg": "image/svg+xml", ".json": "application/json", ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2", ".webp": "image/webp", ".png": "image/png", ".ico": "image/x-icon",
    ".txt": "text/plain",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Assets:
    """The files of static/."""

    files: Mapping[str, bytes]
    """By their path within static/, with slashes."""
    digest: str
    """Of all of them."""

    @classmethod
    def read(cls, folder: Path) -> Assets:
        """Read the folder, without hidden files; AssetError if it has no index.html."""
        paths = ((path.relative_to(folder), path) for path in sorted(folder.rglob("*")) if path.is_file())
        shown = ((name, path) for name, path in paths if not any(part.startswith(".") for part in name.parts))
        files = {name.as_posix(): path.read_bytes() for name, path in shown}
        if "index.html" not in files:
            raise AssetError(
                f"{folder} has no index.html; expected the studio's page, which ships with prima"
            )
        digest = hashlib.sha256()
        for name, data in files.items():
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        return cls(files=files, digest=digest.hexdigest()[:16])

    def page(self, name: str) -> bytes:
        """Return a page whose parts have the addresses of this version."""
        return self.files[name].replace(b'"static/', f'"static/{self.digest}/'.encode())


class LoginBody(BaseModel):
    """The token that was printed at the start."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(max_length=1000)


@router.get("/")
def index(request: Request) -> Response:
    """Return the studio."""
    return _page(request, "index.html")


@router.get("/login")
def login_page(request: Request) -> Response:
    """Return the page on which a browser shows the token."""
    return _page(request, "login.html")


@router.post("/login")
def login(body: LoginBody, request: Request, studio: StudioDep) -> Response:
    """Change the token for a cookie that the page's scripts cannot read."""
    token = studio.settings.token
    if token is not None and not same_secret(body.token.strip(), token):
        message = "that is not the token; expected the one that was printed at the start"
        raise ProblemError(401, message, code="token")
    return _set_cookie(request, studio, COOKIE_LIFETIME_S)


@router.post("/logout")
def logout(request: Request, studio: StudioDep) -> Response:
    """Forget the cookie."""
    return _set_cookie(request, studio, 0)


@router.get("/favicon.ico")
def favicon(request: Request) -> Response:
    """Return the page's sign, for browsers that do not look into the page."""
    assets: Assets = request.app.state.assets
    name = next((name for name in ("favicon.ico", "favicon.svg", "icon.svg") if name in assets.files), None)
    return Response(status_code=204) if name is None else _file(assets, name, "public, max-age=3600")


@router.get("/static/{name:path}")
def static(name: str, request: Request) -> Response:
    """Return a part of the page; browsers keep it for ever under the address of its version, and under no other."""
    assets: Assets = request.app.state.assets
    version, _, rest = name.partition("/")
    if version == assets.digest and rest in assets.files:
        return _file(assets, rest, FOREVER)
    if name in assets.files:
        return _file(assets, name, "no-cache")
    raise ProblemError(404, "there is no such file", code="not_found")


def _set_cookie(request: Request, studio: Studio, max_age_s: int) -> Response:
    secure = public_scheme(request) == "https"
    cookie = cookie_header(studio.settings.token or "", secure=secure, max_age_s=max_age_s)
    return JSONResponse({"ok": True}, headers={"set-cookie": cookie})


def _page(request: Request, name: str) -> Response:
    assets: Assets = request.app.state.assets
    if name not in assets.files:
        raise ProblemError(404, "there is no such page", code="not_found")
    return Response(assets.page(name), media_type="text/html", headers={"cache-control": "no-cache"})


def _file(assets: Assets, name: str, caching: str) -> Response:
    suffix = Path(name).suffix.lower()
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(assets.files[name], media_type=kind, headers={"cache-control": caching})

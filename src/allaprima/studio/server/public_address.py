"""The studio's address as its caller knows it: behind a proxy that adds TLS, another name or a path.

What a proxy says (`X-Forwarded-Proto`, `-Host`, `-Prefix`) is believed for the addresses in the answer to that very
request, and for nothing that lets anybody in; a host must be one that is answered anyway.
"""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection
from starlette.types import Scope

from allaprima.studio.server.settings import ServerSettings

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,10}")


def public_url(http: HTTPConnection, path: str, settings: ServerSettings) -> str:
    """Return the whole address of `path` for the client of `http`."""
    host = forwarded_host(http.headers.get("x-forwarded-host", ""), settings) or http.headers["host"]
    return f"{public_scheme(http)}://{host}{_prefix(http, settings)}{path}"


def public_scheme(http: HTTPConnection) -> str:
    """Return http or https, whichever the client speaks to us or to the proxy before us."""
    said = _first(http.headers.get("x-forwarded-proto", "")).lower()
    return said if said in ("http", "https") else http.url.scheme


def forwarded_host(header: str, settings: ServerSettings) -> str:
    """Return the host that a proxy was asked for, port and all, if it is one of ours; else nothing."""
    host = _first(header)
    name = host.lower().rpartition(":")[0] if re.search(r":\d{1,5}$", host) else host.lower()
    return host if name and name in {allowed.lower() for allowed in settings.allowed_hosts} else ""


def within_root(scope: Scope, root_path: str) -> Scope:
    """Return `scope` without `root_path` before its path, where a proxy left it there."""
    path = scope["path"]
    if not root_path or not path.startswith(f"{root_path}/"):
        return scope
    raw = scope.get("raw_path") or path.encode()
    return {**scope, "path": path[len(root_path) :], "raw_path": raw[len(root_path) :]}


def _prefix(http: HTTPConnection, settings: ServerSettings) -> str:
    said = _first(http.headers.get("x-forwarded-prefix", "")).rstrip("/")
    return said if _PREFIX.fullmatch(said) else settings.root_path


def _first(header: str) -> str:
    return header.split(",")[0].strip()

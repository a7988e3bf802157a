"""Who may call: host names, origins, tokens. Pure functions over a request's headers; `guard` applies them.

Three questions are asked of every request and every socket, in this order:

1. Is it for us? A browser on a page of evil.example that was rebound to 127.0.0.1 still says `Host: evil.example`.
   Only names that we know to be ours, and numeric addresses, which DNS cannot rebind, are answered.
2. Does a foreign page send it? Browsers say so in Origin and Sec-Fetch-Site. Programs send neither and pass.
3. Is the token right, if there is one? Programs show it as a Bearer, the page as a cookie made from it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.public_address import forwarded_host
from allaprima.studio.server.settings import LOOPBACK, ServerSettings

COOKIE = "allaprima"
READS = frozenset({"GET", "HEAD"})
URL_LIFETIME_S = 3600
OPEN_PATHS = frozenset({"/healthz", "/login"})
"""What is answered without a token, besides the page's own files (which hold no secrets)."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The page's own files and nothing else: no inline code, no foreign address, no frames."""

HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}
"""Sent with every answer that does not say otherwise."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What the checks look at."""

    method: str
    """GET, POST, ...; WEBSOCKET for a live socket."""
    path: str
    """Decoded."""
    headers: dict[str, str]
    """Names in lower case; a header that came twice is joined by ", ", which no check lets pass."""

    @property
    def changes(self) -> bool:
        """True if it may start work or change something."""
        return self.method not in READS and self.method != "OPTIONS"


def check_host(caller: Caller, settings: ServerSettings) -> ProblemError | None:
    """Refuse a Host that is not ours: DNS rebinding."""
    host = split_host(caller.headers.get("host", ""))
    if host is not None and (host in LOOPBACK or host in {name.lower() for name in settings.allowed_hosts}):
        return None
    if host is not None and (host == settings.host or (not settings.is_loopback and _is_address(host))):
        return None
    message = "this server does not answer to that host name; expected localhost or one given by --allow-host"
    return ProblemError(421, message, code="host")


def check_origin(caller: Caller, settings: ServerSettings) -> ProblemError | None:
    """Refuse what a page of another origin sends: cross-site requests and sockets."""
    origin, site = caller.headers.get("origin"), caller.headers.get("sec-fetch-site")
    if origin is not None and origin in settings.cors_origins:
        return None
    # Which host a proxy was asked for is said in a header that no foreign page can send without asking first.
    forwarded = forwarded_host(caller.headers.get("x-forwarded-host", ""), settings)
    hosts = filter(None, (caller.headers.get("host", ""), forwarded))
    foreign = origin is not None and not any(_is_own(origin, host) for host in hosts)
    if origin is None or not foreign:
        # A link from elsewhere to the page is a navigation, which reads and changes nothing.
        navigates = caller.method in READS and caller.headers.get("sec-fetch-mode") == "navigate"
        navigates = navigates and caller.headers.get("sec-fetch-dest", "document") == "document"
        foreign = foreign or (site not in (None, "same-origin", "none") and not navigates)
    if not foreign:
        return None
    message = "a page of another origin sent this; expected the studio's own, or one given by --cors-origin"
    return ProblemError(403, message, code="origin")


def check_token(caller: Caller, settings: ServerSettings, *, now: float | None = None) -> ProblemError | None:
    """Refuse whoever does not show the token, if one is set."""
    signed = caller.method in READS and is_signed(caller.path, settings, now=now)
    if settings.token is None or signed:
        return None
    kind, _, shown = caller.headers.get("authorization", "").partition(" ")
    shown = shown.strip()
    if kind.lower() == "bearer" and same_secret(shown, settings.token):
        return None
    # Programs written for A1111 know only user and password; browsers never send it here unasked.
    if kind.lower() == "basic" and same_secret(_password(shown), settings.token):
        return None
    shown = _find_cookie(caller.headers.get("cookie", ""), cookie_name(settings.token))
    if same_secret(shown, cookie_value(settings.token)):
        return None
    message = (
        "the token is missing or wrong; expected Authorization: Bearer and the token printed at the start"
    )
    return ProblemError(401, message, code="token", headers={"www-authenticate": "Bearer"})


def same_secret(shown: str, expected: str) -> bool:
    """Return whether two texts are equal, in a time that depends on neither text, not even on their lengths."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (shown, expected))
    return hmac.compare_digest(*digests)


def cookie_name(token: str) -> str:
    """Return the cookie's name, another for each token: browsers keep one of a name for all ports of a host."""
    return f"{COOKIE}-{hmac.new(token.encode(), b'allaprima cookie name 1', hashlib.sha256).hexdigest()[:12]}"


def cookie_value(token: str) -> str:
    """Return what the cookie holds: proof of the token, from which the token cannot be had."""
    return hmac.new(token.encode(), b"allaprima cookie 1", hashlib.sha256).hexdigest()


def cookie_header(token: str, *, secure: bool, max_age_s: int) -> str:
    """Return the Set-Cookie line; scripts cannot read the cookie, other sites cannot send it.

    With a `max_age_s` of 0 it has the browser forget the cookie.
    """
    value = cookie_value(token) if max_age_s else ""
    line = f"{cookie_name(token)}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict"
    return f"{line}; Secure" if secure else line


def sign_path(path: str, settings: ServerSettings, *, now: float | None = None) -> str:
    """Return `path` such that it can be fetched without the token for an hour; the path itself without a token."""
    if settings.token is None:
        return path
    until = int(time.time() if now is None else now) + URL_LIFETIME_S
    return f"{path}~{until}~{_signature(path, until, settings.token)}"


def unsigned(path: str) -> str:
    """Return the path without the signature that `sign_path` put behind it."""
    return path.split("~", 1)[0]


def is_signed(path: str, settings: ServerSettings, *, now: float | None = None) -> bool:
    """Return whether `path` bears a signature of ours that has not run out."""
    plain, _, rest = path.partition("~")
    until, _, signature = rest.partition("~")
    if settings.token is None or not (until.isascii() and until.isdigit() and len(until) <= 12):
        return False
    fresh = int(until) >= (time.time() if now is None else now)
    return fresh and same_secret(signature, _signature(plain, int(until), settings.token))


def split_host(text: str) -> str | None:
    """Return the name in a Host header, in lower case and without port and brackets, or None for nonsense."""
    if not text or len(text) > 255 or any(char in text for char in "/\\@?#, \t"):
        return None
    try:
        parts = urlsplit(f"//{text}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname else None


def client_of(connection: HTTPConnection) -> str:
    """Return what stands for the client of `connection` in limits, see `client_key`."""
    return client_key(connection.client.host if connection.client else None)


def client_key(address: str | None) -> str:
    """Return what stands for one client in limits: an IPv4 address, or the /64 that one IPv6 customer owns."""
    try:
        parsed = ipaddress.ip_address((address or "").split("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _is_own(origin: str, host: str) -> bool:
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and bool(host) and rest.lower() == host.lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _signature(path: str, until: int, token: str) -> str:
    return hmac.new(token.encode(), f"allaprima path {until} {path}".encode(), hashlib.sha256).hexdigest()


def _find_cookie(header: str, name: str) -> str:
    """Return the cookie `name`, or nothing; what neighbours on the same host keep may be of any form."""
    pairs = (pair.partition("=") for pair in re.split("[;,]", header))
    return next((value.strip().strip('"') for key, _, value in pairs if key.strip() == name), "")


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""

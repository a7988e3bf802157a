"""The door: every request and every socket passes it before any route sees it.

Order: Host, Origin, rate, token, content type, body. What passes gets its body whole, within the caps, and its answer
gets the security headers. What a route fails to catch is caught here and becomes an id.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allaprima.studio.server.body_budget import BodyBudget, BodyShare, too_many_bodies
from allaprima.studio.server.errors import ProblemError, new_id, problem_response
from allaprima.studio.server.limits import Pace, RateLimiter
from allaprima.studio.server.public_address import within_root
from allaprima.studio.server.security import (
    HEADERS,
    OPEN_PATHS,
    READS,
    Caller,
    check_host,
    check_origin,
    check_token,
    client_key,
)
from allaprima.studio.server.settings import ServerSettings

FORMS = frozenset({"/v1/images/edits", "/v1/images/variations"})
"""Routes whose bodies may be forms with files. A foreign page can send one without asking, but browsers name the page
then, and that is refused before."""
UPLOADS = frozenset({
    "/sdapi/v1/img2img", "/sdapi/v1/png-info", "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images",
    "/sdapi/v1/interrogate", "/api/flipbooks", "/api/jobs", "/api/retouch", *FORMS,
})  # fmt: skip
"""Routes whose bodies hold pictures."""
MAX_VALUES = 100_000
"""Objects, lists and members of one body: small ones unfold to a hundred times their bytes when they are parsed."""
_BURST_S = 10.0
_HEADER_NAME = re.compile(r"[a-z0-9-]{1,100}")
_LOG = logging.getLogger(__name__)


class Guard:
    """ASGI middleware that applies `security` and the caps of `settings` around `app`."""

    def __init__(self, app: ASGIApp, *, settings: ServerSettings, refused: Counter[str]) -> None:
        caps = settings.caps
        self.app = app
        self.settings = settings
        self.refused = refused
        self._reads = RateLimiter(rate=caps.reads_per_s, burst=caps.reads_per_s * _BURST_S)
        self._writes = RateLimiter(rate=caps.writes_per_s, burst=caps.writes_per_s * _BURST_S)
        self._bodies = BodyBudget(most=caps.all_bodies_bytes, small=caps.body_bytes)
        self._pace = Pace(rate=caps.all_bodies_bytes_per_s, burst=2 * caps.upload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one connection."""
        scope = within_root(scope, self.settings.root_path) if "path" in scope else scope
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = _caller(scope)
        origin = caller.headers.get("origin")
        cors = origin if origin in self.settings.cors_origins else None
        answer = _Answer(send, cors, caller.headers.get("access-control-request-headers", ""))
        try:
            early = self._answer_early(caller, scope, cors)
            if early is not None:
                await early(scope, receive, answer)
                return
            with self._bodies.hold() as share:
                body = await self._read_body(caller, receive, share)
                await self.app(scope, _replay(body, receive), answer)
        except ProblemError as problem:
            self._count(problem)
            await problem_response(problem, caller.path)(scope, receive, answer)
        except ClientDisconnect:
            pass  # nobody is left to answer
        except Exception:  # noqa: BLE001 (the edge: nothing may pass, and the log gets it all)
            problem_id = new_id()
            _LOG.exception("%s: at %r", problem_id, caller.path[:200])
            if not answer.started:
                message = "something went wrong; the id leads to it in the log"
                response = problem_response(ProblemError(500, message, problem_id=problem_id), caller.path)
                await response(scope, receive, answer)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = _caller(scope)
        refusal = self._refuse(caller, scope)
        if refusal is not None:
            _LOG.warning("%s: socket refused at %r: %s", new_id(), caller.path[:200], refusal.code)
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
            return
        try:
            await self.app(scope, receive, send)
        except Exception:  # noqa: BLE001 (the edge)
            problem_id = new_id()
            _LOG.exception("%s: on the socket %r", problem_id, caller.path[:200])
            try:
                await send({"type": "websocket.close", "code": 1011, "reason": problem_id})
            except (RuntimeError, OSError):
                _LOG.info("%s: the socket was closed already", problem_id)

    def _answer_early(self, caller: Caller, scope: Scope, cors: str | None) -> Response | None:
        root = self.settings.root_path
        if root and caller.path == root and caller.method in READS:
            return RedirectResponse(f"{root}/", 308)
        if caller.method == "OPTIONS" and cors is not None and check_host(caller, self.settings) is None:
            return Response(status_code=204)
        refusal = self._refuse(caller, scope)
        if refusal is None:
            return None
        if refusal.status == 401 and _wants_page(caller):
            # Relative, so that it holds behind a proxy under a path too.
            return RedirectResponse("../" * (caller.path.count("/") - 1) + "login", 303)
        return problem_response(refusal, caller.path)

    def _refuse(self, caller: Caller, scope: Scope) -> ProblemError | None:
        refusal = check_host(caller, self.settings) or check_origin(caller, self.settings)
        refusal = refusal or self._check_rate(caller, scope)
        if refusal is None and not _is_open(caller):
            refusal = check_token(caller, self.settings)
        if refusal is not None:
            self._count(refusal)
        return refusal

    def _check_rate(self, caller: Caller, scope: Scope) -> ProblemError | None:
        limiter = self._writes if caller.changes else self._reads
        wait = limiter.wait_s(client_key((scope.get("client") or ("",))[0]))
        if wait <= 0:
            return None
        message = f"too many requests; expected the next one in {wait:.1f} s"
        return ProblemError(429, message, code="rate", headers={"retry-after": "2"})

    async def _take(self, share: BodyShare, num_bytes: int) -> None:
        """Take a piece of a body; the next is not read from its connection before its time has come."""
        self._bodies.take(share, num_bytes)
        if (wait := self._pace.take(num_bytes)) > 0:
            await asyncio.sleep(wait)

    def _count(self, refusal: ProblemError) -> None:
        self.refused[refusal.code or "other"] += 1

    async def _read_body(self, caller: Caller, receive: Receive, share: BodyShare) -> bytes:
        caps = self.settings.caps
        most = caps.upload_bytes if caller.path in UPLOADS else caps.body_bytes
        declared = caller.headers.get("content-length", "0")
        if not declared.isdigit() or len(declared) > 18 or int(declared) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(caps.body_s) as share.coming:
                body = await _read(receive, most, lambda num_bytes: self._take(share, num_bytes))
            share.coming = None
        except TimeoutError:
            if share.gave_way:
                raise too_many_bodies() from None
            raise ProblemError(408, "the request's body came too slowly", code="slow") from None
        kind = caller.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data" and caller.path in FORMS:
            return body
        if body and kind != "application/json":
            # A form on a foreign page can send any text, but not this type without asking first.
            message = f"got the content type {kind[:60]!r}; expected application/json"
            raise ProblemError(415, message, code="content_type")
        # Pictures in base64 have none of these signs.
        if sum(map(body.count, (b"{", b"[", b","))) > MAX_VALUES:
            message = f"the request's body has too many values; expected at most {MAX_VALUES:,}"
            raise ProblemError(413, message, code="body")
        return body


class _Answer:
    """`send` that adds the headers and remembers whether the answer has begun."""

    def __init__(self, send: Send, cors: str | None, asked_headers: str) -> None:
        self._send = send
        self._cors = cors
        self._asked_headers = asked_headers
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = list(message.get("headers", []))
            present = {name.lower() for name, _ in headers}
            added = {**HEADERS, **_cors_headers(self._cors, self._asked_headers)}
            headers += [(k.encode(), v.encode()) for k, v in added.items() if k.encode() not in present]
            message = {**message, "headers": headers}
        await self._send(message)


def _cors_headers(origin: str | None, asked: str) -> Mapping[str, str]:
    """Return what lets pages of `origin` read an answer, and send the headers they asked about beforehand."""
    if origin is None:
        return {}
    names = {name.strip().lower() for name in asked[:4096].split(",")}
    names = {"authorization", "content-type", *filter(_HEADER_NAME.fullmatch, names)}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": ", ".join(sorted(names)),
        "access-control-max-age": "600",
        "cross-origin-resource-policy": "cross-origin",
        "vary": "Origin",
    }


def _caller(scope: Scope) -> Caller:
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    return Caller(method=method, path=scope["path"], headers=headers)


def _is_open(caller: Caller) -> bool:
    return caller.path in OPEN_PATHS or (caller.method in READS and caller.path.startswith("/static/"))


def _wants_page(caller: Caller) -> bool:
    return caller.method == "GET" and "text/html" in caller.headers.get("accept", "")


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"the request's body is too large; expected at most {most:,} bytes", code="body")


async def _read(receive: Receive, most: int, take: Callable[[int], Awaitable[None]]) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise _too_large(most)
        await take(len(chunks[-1]))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that hands out the body once and then waits for the client to leave."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay

"""The promises of SECURITY.md, attacked over a real connection."""

from __future__ import annotations

import socket

import pytest
from tests.studio.server.conftest import Serve, Served

from allaprima.studio.server.security import PAGE_POLICY
from allaprima.studio.server.settings import Caps, ServerSettings

TOKEN = "correct-horse-battery"
PAINT = "/v1/images/generations"
JOB = {"prompt": "a cat"}
CHANGES = [
    ("POST", PAINT), ("POST", "/sdapi/v1/txt2img"), ("POST", "/sdapi/v1/img2img"), ("POST", "/sdapi/v1/options"),
    ("POST", "/sdapi/v1/interrupt"), ("POST", "/sdapi/v1/refresh-loras"), ("POST", "/api/jobs"), ("POST", "/login"),
    ("POST", "/logout"), ("POST", "/api/loras/refresh"), ("DELETE", "/api/gallery/x"), ("DELETE", "/api/jobs/x"),
]  # fmt: skip


SECRETS = [
    "/", "/v1/models", "/sdapi/v1/options", "/sdapi/v1/loras", "/api/config", "/api/gallery", "/api/jobs", "/metrics",
    "/api/openapi.json", "/pictures/0123456789ab-0123456789ab.png",
]  # fmt: skip


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_dns_rebinding(served: Served, host: str) -> None:
    with served.client(host=host) as client:
        for path in ("/", "/api/gallery", "/healthz", "/metrics"):
            assert client.get(path).status_code == 421
        assert client.post(PAINT, json=JOB).status_code == 421
    assert served.studio.engine.stats().counters["pictures"] == 0


def test_two_hosts_are_none(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert raw.recv(100).split()[1] in (b"400", b"421")


FOREIGN = [
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:3000", "sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
]


def test_cross_site_requests_change_nothing(served: Served) -> None:
    for headers in FOREIGN:
        with served.client(**headers) as client:
            for method, path in CHANGES:
                assert client.request(method, path, json=JOB).status_code == 403, (method, path, headers)


def test_forms_are_no_requests(served: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        with served.client(content_type=kind) as client:
            assert client.post(PAINT, content='{"prompt": "a cat"}').status_code == 415


def test_pictures_cannot_be_drawn_into_foreign_pages(served: Served) -> None:
    with served.client(
        sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image"
    ) as client:
        assert client.get("/api/gallery").status_code == 403
    with served.client() as client:
        assert client.get("/api/gallery").headers["cross-origin-resource-policy"] == "same-origin"


def test_nothing_is_told_without_the_token(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with served.client() as client:
        for path in SECRETS:
            assert client.get(path).status_code == 401
            assert client.get(path, params={"token": TOKEN}).status_code == 401
            assert client.get(path, headers={"authorization": f"Bearer {TOKEN}x"}).status_code == 401
            assert client.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)
        assert client.get("/healthz").json() == {"status": "ok"}


def test_guesses_are_bounded_by_the_rate_and_lock_nobody_out(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN, caps=Caps(reads_per_s=0.5)))
    with served.client() as client:
        by_header = [
            client.get("/v1/models", headers={"authorization": f"Bearer {n}"}).status_code for n in range(40)
        ]
        by_form = [client.post("/login", json={"token": str(n)}).status_code for n in range(20)]
        assert client.post("/login", json={"token": TOKEN}).status_code == 200
    assert by_header[:5] == [401] * 5
    assert by_header[-1] == 429
    assert by_form == [401] * 20


def test_bodies_of_very_many_values_are_refused_before_they_are_parsed(served: Served) -> None:
    for hostile in (b"[]," * 200_000, b'{"a":1},' * 60_000, b"[" * 200_000):
        body = b'{"prompt": "a", "init_images": ["x"], "z": [' + hostile + b"0]}"
        with served.client() as client:
            headers = {"content-type": "application/json"}
            answer = client.post("/sdapi/v1/img2img", content=body, headers=headers)
            assert answer.status_code == 413, answer.text
            assert "too many values" in answer.text
            assert client.get("/healthz").status_code == 200


def test_no_cors_unless_configured(serve: Serve) -> None:
    origin = "https://app.example"
    served = serve()
    with served.client(origin=origin) as client:
        preflight = client.options(PAINT, headers={"access-control-request-method": "POST"})
        assert preflight.status_code == 403
        assert "access-control-allow-origin" not in preflight.headers
        assert "access-control-allow-origin" not in client.get("/v1/models").headers
    open_to_one = serve(ServerSettings(cors_origins=(origin,)))
    with open_to_one.client(origin=origin, sec_fetch_site="cross-site") as client:
        preflight = client.options(PAINT, headers={"access-control-request-method": "POST"})
        assert preflight.status_code == 204
        # OpenAI's own client adds headers, and a browser sends none that it was not allowed to.
        asked = {"access-control-request-headers": "authorization,X-Stainless-Lang,x-stainless-os,<b>,a b"}
        allowed = client.options(PAINT, headers=asked).headers["access-control-allow-headers"].split(", ")
        assert allowed == ["authorization", "content-type", "x-stainless-lang", "x-stainless-os"]
        answer = client.get("/v1/models")
        assert answer.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in answer.headers
        assert client.get("/v1/models", headers={"origin": "https://other.example"}).status_code == 403


def test_bodies_have_a_largest_size_however_they_are_sent(served: Served) -> None:
    with served.client(content_type="application/json") as client:
        assert client.post(PAINT, content=b"x" * 300_000).status_code == 413
        pieces = (b"x" * 10_000 for _ in range(60))
        assert client.post(PAINT, content=pieces).status_code == 413
        assert client.post(PAINT, content=b"{}", headers={"content-length": "2"}).status_code == 400


def test_a_body_that_never_ends_is_not_waited_for(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(body_s=0.2)))
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        head = f"POST {PAINT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw.sendall(head.encode() + b"Content-Length: 99\r\n\r\n{")
        assert raw.recv(100).split()[1] == b"408"


def test_too_many_requests_are_refused_and_forgiven(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(writes_per_s=1.0)))
    with served.client() as client:
        statuses = [client.post("/sdapi/v1/interrupt").status_code for _ in range(15)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses
        assert client.get("/v1/models").status_code == 200


def test_every_answer_carries_the_headers(served: Served) -> None:
    with served.client() as client:
        for answer in (
            client.get("/"),
            client.get("/v1/models"),
            client.get("/none"),
            client.get("/healthz"),
        ):
            assert answer.headers["content-security-policy"] == PAGE_POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers
    assert "unsafe" not in PAGE_POLICY
    assert "http" not in PAGE_POLICY

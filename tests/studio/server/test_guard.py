"""The promises of SECURITY.md, attacked over a real connection."""

from __future__ import annotations

import base64
import io
import logging
import socket
import struct
import zlib

import pytest
from PIL import Image
from tests.studio.server.conftest import Serve, Served
from tests.studio.server.pictures import png_bytes

from allaprima.core.errors import RequestError
from allaprima.studio.server.errors import hide_paths
from allaprima.studio.server.security import PAGE_POLICY, cookie_value
from allaprima.studio.server.settings import Caps, ServerSettings
from allaprima.studio.server.uploads import decode_base64, open_upload, webp_size

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


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small file whose header promises a large picture, with pixels that inflate a thousandfold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10**6, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


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


def test_the_page_logs_in_and_out_by_cookie(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with served.client(accept="text/html", origin=served.url) as client:
        sent = client.get("/")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        assert client.get("/login").status_code == 200
        assert client.post("/login", json={"token": "wrong"}).status_code == 401
        answer = client.post("/login", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"allaprima={cookie_value(TOKEN)};")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert TOKEN not in cookie + answer.text
        assert client.get("/").status_code == 200
        client.post("/logout")
        assert client.get("/").status_code == 303


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
        answer = client.get("/v1/models")
        assert answer.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in answer.headers
        assert client.get("/v1/models", headers={"origin": "https://other.example"}).status_code == 403


PATHS = [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/.hidden",
    "/pictures/../../etc/passwd.png", "/pictures/..%2f..%2fsecret.png", "/pictures/%00.png", "/pictures/x.svg",
    "/api/gallery/..%2findex.sqlite", "/v1/models/../../etc/passwd", "/pictures/index.sqlite", "/static/",
]  # fmt: skip


def test_no_name_is_a_path(served: Served) -> None:
    served.gallery_folder.parent.joinpath("secret.png").write_bytes(png_bytes())
    for path in PATHS:
        with socket.create_connection(
            ("127.0.0.1", served.port), timeout=5
        ) as raw:  # clients tidy such paths up
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.split()[1] in (b"404", b"400"), path
        assert b"root:" not in answer


def test_bodies_have_a_largest_size_however_they_are_sent(served: Served) -> None:
    with served.client(content_type="application/json") as client:
        assert client.post(PAINT, content=b"x" * 300_000).status_code == 413
        pieces = (b"x" * 10_000 for _ in range(60))
        assert client.post(PAINT, content=pieces).status_code == 413
        assert client.post(PAINT, content=b"{}", headers={"content-length": "2"}).status_code == 400


def test_a_body_that_never_ends_is_not_waited_for(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(body_seconds=0.2)))
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


def test_pictures_that_claim_to_be_huge_are_never_decoded(served: Served) -> None:
    with served.client() as client:
        for width, height in ((10**5, 10**4), (16384, 16384), (1, 2**31 - 1), (0, 5)):
            sent = base64.b64encode(png_that_claims(width, height)).decode()
            answer = client.post("/sdapi/v1/img2img", json={"init_images": [sent], "prompt": "a"})
            assert answer.status_code == 400, answer.text


def test_what_is_sent_must_be_a_picture() -> None:
    png, caps = png_bytes(), Caps()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    for data in (
        b"",
        b"hello",
        svg,
        b"GIF89a" + png,
        png[:40],
        png[:50],
        b"RIFF\0\0\0\0WEBPVP8X",
        b"II*\0" + png,
    ):
        with pytest.raises(RequestError):
            open_upload(data, caps)
    for text in ("http://169.254.169.254/latest", "file:///etc/passwd", "data:image/png;base64,%%%", "é"):
        with pytest.raises(RequestError, match="not base64"):
            decode_base64(text)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1000, 3)])
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_size_of_a_webp_is_read_from_its_header(size: tuple[int, int], lossless: bool, mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, size, 128).save(out, "WEBP", lossless=lossless, exif=Image.Exif().tobytes())
    assert webp_size(out.getvalue()) == size
    assert open_upload(out.getvalue(), Caps()).size == size


def test_a_webp_that_claims_to_be_huge_is_never_opened() -> None:
    huge = (
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
        + (10**5).to_bytes(3, "little")
        + (10**4).to_bytes(3, "little")
    )
    with pytest.raises(RequestError, match="100001x10001"):
        open_upload(huge, Caps())


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "I;16", "CMYK"])
def test_pictures_of_every_kind_become_rgb(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (8, 8)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert open_upload(out.getvalue(), Caps()).mode == "RGB"


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


def test_the_pages_parts_are_kept_for_ever_under_their_version_only(served: Served) -> None:
    with served.client() as client:
        page = client.get("/login").text
        versioned = next(part for part in page.split('"') if part.startswith("/static/"))
        assert versioned.count("/") == 3
        assert "immutable" in client.get(versioned).headers["cache-control"]
        assert client.get("/static/login.js").headers["cache-control"] == "no-cache"
        assert client.get("/static/login.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/").headers["cache-control"] == "no-cache"


def test_an_error_of_ours_is_an_id_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret path /home/me/weights is broken")

    monkeypatch.setattr(served.studio.gallery, "find", broken)
    with caplog.at_level(logging.INFO), served.client() as client:
        answer = client.get("/api/gallery")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]["id"] in caplog.text
    assert "the secret path" in caplog.text


def test_refusals_are_counted_for_the_metrics(served: Served) -> None:
    with served.client() as client:
        client.get("/", headers={"host": "evil.example"})
        client.post(PAINT, json=JOB, headers={"origin": "null"})
        text = client.get("/metrics").text
    assert 'allaprima_refused_total{reason="host"} 1.0' in text
    assert 'allaprima_refused_total{reason="origin"} 1.0' in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "cannot read /home/me/loras/ink.safetensors: it is empty",
            "cannot read ink.safetensors: it is empty",
        ),
        (
            "got LoRA 'x', which is not in /srv/models/lora; expected one",
            "got LoRA 'x', which is not in lora; expected one",
        ),
        ("got size 1x2; expected 256x256 and/or https://a.example/b", None),
    ],
)
def test_places_of_the_machine_are_not_told(text: str, told: str | None) -> None:
    assert hide_paths(text) == (text if told is None else told)

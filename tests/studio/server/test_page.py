"""The page's files and its login."""

from __future__ import annotations

import socket

from tests.studio.server.conftest import Serve, Served
from tests.studio.server.pictures import png_bytes

from allaprima.studio.server.security import cookie_name, cookie_value
from allaprima.studio.server.settings import ServerSettings

TOKEN = "correct-horse-battery"


def test_the_page_logs_in_and_out_by_cookie(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with served.client(accept="text/html", origin=served.url) as client:
        sent = client.get("/")
        assert (sent.status_code, sent.headers["location"]) == (303, "login")
        assert client.get("/login").status_code == 200
        assert client.post("/login", json={"token": "wrong"}).status_code == 401
        answer = client.post("/login", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{cookie_name(TOKEN)}={cookie_value(TOKEN)};")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert TOKEN not in cookie + answer.text
        assert client.get("/").status_code == 200
        client.post("/logout")
        assert client.get("/").status_code == 303


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


def test_the_pages_parts_are_kept_for_ever_under_their_version_only(served: Served) -> None:
    with served.client() as client:
        page = client.get("/login").text
        versioned = next(part for part in page.split('"') if part.startswith("static/"))
        assert versioned.count("/") == 2
        assert "immutable" in client.get(versioned).headers["cache-control"]
        assert client.get("/static/login.js").headers["cache-control"] == "no-cache"
        assert client.get("/static/login.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/").headers["cache-control"] == "no-cache"

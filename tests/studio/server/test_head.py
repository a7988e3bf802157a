"""HEAD is what GET would say, without saying it; OPTIONS says what there is."""

from __future__ import annotations

import socket

import pytest
from tests.studio.server.conftest import Serve, Served

from allaprima.studio.server.settings import ServerSettings

READ = [
    "/",
    "/login",
    "/healthz",
    "/metrics",
    "/static/main.js",
    "/api/config",
    "/v1/models",
    "/sdapi/v1/options",
]


@pytest.mark.parametrize("path", READ)
def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    with served.client() as client:
        got, headed = client.get(path), client.head(path)
    assert (got.status_code, headed.status_code) == (200, 200)
    assert headed.content == b""
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert "content-length" in headed.headers


def test_the_connection_goes_on_after_it(served: Served) -> None:
    ask = b"%s /healthz HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        raw.sendall(ask % (b"HEAD", b"") + ask % (b"GET", b"Connection: close\r\n"))
        said = b"".join(iter(lambda: raw.recv(4096), b""))
    assert said.count(b"200 OK") == 2
    assert said.count(b'{"status":"ok"}') == 1


def test_what_only_posts_has_no_head(served: Served) -> None:
    with served.client() as client:
        answer = client.head("/v1/images/generations")
        assert (answer.status_code, answer.content) == (405, b"")
        assert client.head("/nowhere").status_code == 404


def test_head_needs_the_token_where_get_does(serve: Serve) -> None:
    served = serve(ServerSettings(token="correct-horse-battery"))
    with served.client() as client:
        assert client.head("/healthz").status_code == 200
        assert client.head("/api/config").status_code == 401
        assert client.head("/healthz", headers={"host": "evil.example"}).status_code == 421


def test_options_says_what_there_is(served: Served) -> None:
    with served.client() as client:
        answer = client.options("/v1/images/generations")
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["allow"] == "POST, OPTIONS"
        assert client.options("/nowhere").status_code == 404
        assert client.options("/healthz", headers={"host": "evil.example"}).status_code == 421

"""Behind a proxy: TLS, another name, a path."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from tests.studio.server.conftest import Serve, Served

from allaprima.core.errors import UserError
from allaprima.studio.server.settings import ServerSettings

ASKED = {"prompt": "a cat", "response_format": "url", "steps": 1}


def url_for(served: Served, **headers: str) -> str:
    """Return the address of a picture that is painted for a client whose proxy sends `headers`."""
    with served.client(**headers) as client:
        answer = client.post("/v1/images/generations", json=ASKED)
    return str(answer.json()["data"][0]["url"])


@pytest.mark.parametrize(
    ("headers", "begins"),
    [
        ({}, "http://127.0.0.1:"),
        ({"x_forwarded_proto": "https"}, "https://127.0.0.1:"),
        (
            {"x_forwarded_proto": "https, http", "x_forwarded_host": "studio.example"},
            "https://studio.example/p",
        ),
        ({"x_forwarded_host": "studio.example:8443"}, "http://studio.example:8443/p"),
        ({"x_forwarded_host": "evil.example"}, "http://127.0.0.1:"),
        ({"x_forwarded_proto": "javascript"}, "http://127.0.0.1:"),
        (
            {"x_forwarded_host": "studio.example", "x_forwarded_prefix": "/art/"},
            "http://studio.example/art/p",
        ),
        ({"x_forwarded_host": "studio.example", "x_forwarded_prefix": "//evil"}, "http://studio.example/p"),
    ],
)
def test_links_lead_through_the_proxy(serve: Serve, headers: dict[str, str], begins: str) -> None:
    served = serve(ServerSettings(allowed_hosts=("studio.example",)))
    assert url_for(served, **headers).startswith(begins)


def test_the_page_behind_a_proxy_may_ask(serve: Serve) -> None:
    served = serve(ServerSettings(allowed_hosts=("studio.example",)))
    with served.client(origin="https://studio.example") as client:
        assert client.get("/api/config").status_code == 403  # nobody says that it is the page's own host
        own = {"x-forwarded-host": "studio.example"}
        assert client.get("/api/config", headers=own).status_code == 200
        assert client.get("/api/config", headers={"x-forwarded-host": "evil.example"}).status_code == 403


def test_the_page_has_no_address_outside_its_path(served: Served) -> None:
    with served.client() as client:
        for path in ("/", "/login"):
            page = client.get(path).text
            asked = re.findall(r'(?:src|href|action)="([^"#]+)"', page)
            assert len(asked) > 4
            for one in asked:
                assert urljoin(f"https://host/studio{path}", one).startswith("https://host/studio/")


def test_a_path_is_taken_off_where_the_proxy_leaves_it_there(serve: Serve) -> None:
    served = serve(ServerSettings(root_path="/art"))
    with served.client() as client:
        for prefix in ("", "/art"):
            assert client.get(f"{prefix}/healthz").status_code == 200
            assert client.get(f"{prefix}/v1/models").status_code == 200
        assert client.get("/art", follow_redirects=False).headers["location"] == "/art/"
        assert client.get("/artful/healthz").status_code == 404
    assert url_for(served).partition("/pictures/")[0].endswith(f":{served.port}/art")


def test_a_cookie_is_kept_from_the_clear_behind_tls(serve: Serve) -> None:
    served = serve(ServerSettings(token="correct-horse-battery"))
    with served.client() as client:
        for headers, secure in (({}, False), ({"x-forwarded-proto": "https"}, True)):
            answer = client.post("/login", json={"token": "correct-horse-battery"}, headers=headers)
            assert ("; Secure" in answer.headers["set-cookie"]) == secure


@pytest.mark.parametrize("path", ["studio", "/a b", "/a//b", "/é", "/a?b"])
def test_a_path_is_plain(path: str) -> None:
    with pytest.raises(UserError, match="expected one such as /studio"):
        ServerSettings(root_path=path)

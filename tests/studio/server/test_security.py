"""Who is let in: each rule against what attackers send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.studio.server.security import (
    Caller,
    check_host,
    check_origin,
    check_token,
    client_key,
    cookie_name,
    cookie_value,
    same_secret,
    sign_path,
    split_host,
    unsigned,
)
from allaprima.studio.server.settings import ServerSettings

TOKEN = "correct-horse-battery"
LOOPBACK = ServerSettings()
LISTENING = ServerSettings(host="0.0.0.0", token=TOKEN, allowed_hosts=("Studio.local",))


def caller(method: str = "POST", path: str = "/v1/images/generations", **headers: str) -> Caller:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Caller(method=method, path=path, headers=named)


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST"])
def test_loopback_answers_to_its_own_names(host: str) -> None:
    assert check_host(caller(host=host), LOOPBACK) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.7", "",
        "localhost, evil.example", "localhost@evil.example", "evil.example#localhost", "localhost:99999", "[::1",
        "studio.local", "0.0.0.0", "2130706433",
    ],
)  # fmt: skip
def test_rebound_names_are_refused(host: str) -> None:
    refusal = check_host(caller(host=host), LOOPBACK)
    assert refusal is not None
    assert refusal.status == 421


def test_listening_answers_to_addresses_and_the_names_it_was_given() -> None:
    for host in ("192.168.0.7:7860", "[fe80::1]:7860", "studio.local", "localhost"):
        assert check_host(caller(host=host), LISTENING) is None
    assert check_host(caller(host="evil.example"), LISTENING) is not None


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "WEBSOCKET", "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://localhost:7860.evil.example"},
        {"origin": "file://localhost:7860"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://localhost:7860", "sec_fetch_site": "cross-site"},
        {"origin": "null", "sec_fetch_site": "same-origin"},
    ],
)
def test_foreign_pages_are_refused(method: str, headers: dict[str, str]) -> None:
    refusal = check_origin(caller(method, host="localhost:7860", **headers), LOOPBACK)
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:7860"},
        {"origin": "http://localhost:7860", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
def test_programs_and_the_page_itself_pass(headers: dict[str, str]) -> None:
    assert check_origin(caller(host="localhost:7860", **headers), LOOPBACK) is None


def test_a_link_from_elsewhere_opens_the_page_and_nothing_more() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert (
        check_origin(caller("GET", "/", sec_fetch_dest="document", host="localhost", **link), LOOPBACK)
        is None
    )
    for dest in ("iframe", "image", "script", "object"):
        assert check_origin(caller("GET", "/", sec_fetch_dest=dest, host="localhost", **link), LOOPBACK)
    assert check_origin(caller("POST", "/", sec_fetch_dest="document", host="localhost", **link), LOOPBACK)


def test_only_origins_that_were_configured_may_cross() -> None:
    settings = ServerSettings(cors_origins=("https://app.example",))
    headers = {"host": "localhost", "sec_fetch_site": "cross-site"}
    assert check_origin(caller(origin="https://app.example", **headers), settings) is None
    assert check_origin(caller(origin="https://app.example.evil", **headers), settings) is not None
    assert check_origin(caller(origin="http://app.example", **headers), settings) is not None


def test_the_token_opens_as_bearer_as_password_and_as_cookie() -> None:
    for headers in (
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": "Basic dXNlcjpjb3JyZWN0LWhvcnNlLWJhdHRlcnk="},
        {"cookie": f"other=1; {cookie_name(TOKEN)}={cookie_value(TOKEN)}"},
        {"cookie": f'neighbour={{"a": 1}}; odd; {cookie_name(TOKEN)}="{cookie_value(TOKEN)}"; b=[1'},
        {"cookie": f"large={'x' * 9000}; {cookie_name(TOKEN)}={cookie_value(TOKEN)}"},
    ):
        assert check_token(caller(**headers), LISTENING) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {TOKEN} x"},
        {"authorization": TOKEN},
        {"authorization": "Bearer caf\xe9"},
        {"authorization": "Basic ???"},
        {"authorization": "Basic //79"},
        {"cookie": f"{cookie_name(TOKEN)}={TOKEN}"},
        {"cookie": f"{cookie_name(TOKEN)}="},
        {"cookie": f"{cookie_name('another token of it')}={cookie_value(TOKEN)}"},
        {"cookie": ";;;=\x01" * 50},
        {"x_token": TOKEN},
    ],
)
def test_anything_else_does_not(headers: dict[str, str]) -> None:
    refusal = check_token(caller(**headers), LISTENING)
    assert refusal is not None
    assert refusal.status == 401
    assert TOKEN not in refusal.message


def test_the_cookie_does_not_give_the_token_away() -> None:
    assert TOKEN not in cookie_value(TOKEN)
    assert cookie_value(TOKEN) != cookie_value(TOKEN + "x")


@given(st.text(max_size=40), st.text(max_size=40))
def test_secrets_are_the_same_exactly_when_they_are(one: str, other: str) -> None:
    assert same_secret(one, other) == (one == other)


def test_signed_addresses_run_out_and_hold_for_one_path_only() -> None:
    path = sign_path("/pictures/a.png", LISTENING, now=1000.0)
    assert unsigned(path) == "/pictures/a.png"

    def refused(path: str, now: float, method: str = "GET") -> bool:
        return check_token(caller(method, path), LISTENING, now=now) is not None

    assert not refused(path, 1500.0)
    assert refused(path, 1000.0 + 3601)
    assert refused(path.replace("a.png", "b.png"), 1500.0)
    assert refused(path.replace("~4600~", "~9999~"), 1500.0)
    assert refused(path, 1500.0, "DELETE")
    assert refused("/pictures/a.png~~", 1500.0)
    assert refused("/pictures/a.png~١~x", 1500.0)
    assert sign_path("/pictures/a.png", LOOPBACK) == "/pictures/a.png"


@given(st.text(max_size=300))
def test_any_host_header_is_read_or_refused(text: str) -> None:
    host = split_host(text)
    assert host is None or (host == host.lower() and not set(host) & set(" /@#"))


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_a_client_is_an_address_or_the_network_one_customer_owns(address: str | None, key: str) -> None:
    assert client_key(address) == key

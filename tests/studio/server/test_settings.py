"""Settings of a server, refused where they are not safe together."""

from __future__ import annotations

from typing import Any

import pytest

from allaprima.core.errors import UserError
from allaprima.studio.server.settings import MIN_TOKEN_CHARS, ServerSettings

TOKEN = "correct-horse-battery"
LISTENING = ServerSettings(host="0.0.0.0", token=TOKEN, allowed_hosts=("Studio.local",))


def test_an_open_door_is_no_setting() -> None:
    for host in ("0.0.0.0", "::", "192.168.0.7", "studio.local"):
        with pytest.raises(UserError, match="without a token"):
            ServerSettings(host=host)
    with pytest.raises(UserError, match="token of 5 characters"):
        ServerSettings(host="0.0.0.0", token="short")
    for origin in ("*", "https://*.example", "https://a.example/", "a.example", "null"):
        with pytest.raises(UserError, match="origin"):
            ServerSettings(cors_origins=(origin,))
    assert TOKEN not in repr(LISTENING)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": " " * MIN_TOKEN_CHARS},
        {"token": f"correct-horse-battery{chr(10)}"},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": ("https://studio.example",)},
        {"allowed_hosts": ("studio.example:7860",)},
        {"allowed_hosts": ("*.example",)},
        {"cors_origins": ("https://",)},
        {"cors_origins": ("https://App.example",)},
        {"cors_origins": ("https://a.example b",)},
    ],
)
def test_what_no_client_could_ever_show_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="expected"):
        ServerSettings(**wrong)


def test_names_addresses_and_origins_are_settings() -> None:
    hosts, origins = (
        ("Studio.local", "my_box", "10.0.0.7", "fe80::1"),
        ("http://localhost:3000", "https://[::1]"),
    )
    settings = ServerSettings(allowed_hosts=hosts, cors_origins=origins)
    assert (settings.allowed_hosts, settings.cors_origins) == (hosts, origins)

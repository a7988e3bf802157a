"""https: it works, and strangers who do not end their handshakes are bounded in time and number."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from tests.studio.server.conftest import Serve, Served
from websockets.sync.client import connect

from allaprima.cli.serve import read_tls
from allaprima.studio.server.live_messages import unpack_frame
from allaprima.studio.server.settings import Caps, ServerSettings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return a certificate of localhost and its key."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def silent(served: Served) -> socket.socket:
    """Return a connection that never says anything."""
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def ends_within(raw: socket.socket, seconds: float) -> bool:
    """Return whether the other side ends the connection so soon."""
    raw.settimeout(seconds)
    try:
        return raw.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_pictures_and_frames_come_by_https(serve: Serve, pair: tuple[Path, Path]) -> None:
    served = serve(tls=read_tls(*pair))
    trusted = ssl.create_default_context(cafile=str(pair[0]))
    body = {"prompt": "a cat", "steps": 1}
    with httpx2.Client(base_url=served.url, verify=trusted, trust_env=False, timeout=20) as client:
        for _ in range(2):  # on one connection
            assert client.post("/v1/images/generations", json=body).status_code == 200
    with connect(served.url.replace("https", "wss") + "/live", ssl=trusted, proxy=None) as live:
        live.send(json.dumps({"sequence": 1, "prompt": "a cat", "settings": {"steps": 1}}))
        frame = live.recv(timeout=20)
    assert isinstance(frame, bytes)
    assert unpack_frame(frame)[0]["sequence"] == 1


def test_a_handshake_that_does_not_come_ends_its_connection(serve: Serve, pair: tuple[Path, Path]) -> None:
    served = serve(ServerSettings(caps=Caps(head_s=0.5)), tls=read_tls(*pair))
    with silent(served) as waiting, silent(served) as begun:
        begun.sendall(b"\x16\x03\x01\x02\x00")  # a record that ends before it has begun
        begin = time.monotonic()
        assert ends_within(waiting, 10)
        assert ends_within(begun, 10)
        assert time.monotonic() - begin < 5


def test_where_there_are_too_many_the_oldest_goes(serve: Serve, pair: tuple[Path, Path]) -> None:
    served = serve(ServerSettings(caps=Caps(connections=16)), tls=read_tls(*pair))
    trusted = ssl.create_default_context(cafile=str(pair[0]))
    with ExitStack() as stack:
        held = [stack.enter_context(silent(served)) for _ in range(6)]
        with httpx2.Client(base_url=served.url, verify=trusted, trust_env=False, timeout=20) as client:
            assert client.get("/healthz").status_code == 200
        assert all(ends_within(raw, 10) for raw in held[:4])
        assert not ends_within(held[-1], 0.2)


def test_what_speaks_no_tls_is_ended(serve: Serve, pair: tuple[Path, Path]) -> None:
    served = serve(tls=read_tls(*pair))
    with silent(served) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        raw.settimeout(10)
        said = b"".join(iter(lambda: raw.recv(4096), b""))
    assert b"HTTP" not in said

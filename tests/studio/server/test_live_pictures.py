"""Pictures and masks over a real live socket: followed as words are, bounded, and no reason to end a session."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import pytest
from PIL import Image
from tests.studio.server.clients import REQUEST, events_of
from tests.studio.server.conftest import PacedBase, Serve, Served
from tests.studio.server.live_clients import (
    SIZE,
    dial,
    hear,
    hear_final,
    put,
    say,
    send_all_and_listen,
    tell,
)
from tests.studio.server.pictures import png_bytes
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from allaprima.studio.server.live_messages import pack, unpack_frame
from allaprima.studio.server.settings import Caps, ServerSettings

PIXELS = (128, 64)


def plain(level: int, file_format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", PIXELS, (level,) * 3).save(out, file_format)
    return out.getvalue()


def see(socket: ClientConnection, sequence: int) -> tuple[dict[str, Any], Image.Image]:
    """Return the final frame of that message and its picture."""
    while True:
        message = socket.recv(timeout=10)
        assert isinstance(message, bytes), message
        header, jpeg = unpack_frame(message)
        if header["sequence"] == sequence and header["final"]:
            return header, Image.open(io.BytesIO(jpeg)).convert("RGB")


def brightness(image: Image.Image) -> float:
    levels = image.convert("L").tobytes()
    return sum(levels) / len(levels)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_painted_over_as_strongly_as_is_said(served: Served, file_format: str) -> None:
    with dial(served) as socket:
        say(socket, 1, "a cat", steps=1)
        header, alone = see(socket, 1)
        assert (header["strength"], header["masked"]) == (None, False)
        put(socket, 2, plain(255, file_format))
        header, over = see(socket, 2)
        assert (header["strength"], header["prompt"]) == (0.75, "a cat")
        say(socket, 3, "a cat", steps=1, strength=0.1)
        header, hardly = see(socket, 3)
        assert header["strength"] == 0.1
        tell(socket, sequence=4, picture=None)
        header, again = see(socket, 4)
        assert header["strength"] is None
    assert brightness(alone) < brightness(over) < brightness(hardly)
    assert again.tobytes() == alone.tobytes()


def test_a_picture_may_come_with_its_words_or_before_them(served: Served) -> None:
    with dial(served) as socket:
        put(socket, 1, plain(255))
        say(socket, 2, "a cat", steps=1, strength=0.2)
        _, before = see(socket, 2)
    with dial(served) as socket:
        words = {"prompt": "a cat", "settings": {**SIZE, "steps": 1, "strength": 0.2}}
        socket.send(pack({"sequence": 1, "picture": {}, **words}, plain(255)))
        _, together = see(socket, 1)
    assert together.tobytes() == before.tobytes()


def test_strokes_change_their_region_only(served: Served) -> None:
    with dial(served) as socket:
        put(socket, 1, plain(0))
        say(socket, 2, "a cat", steps=1, strength=0.1)
        _, dark = see(socket, 2)
        put(socket, 3, b"\xff" * 4 * 32 * 64, x=0, y=0, width=32, height=64, raw=True)
        _, stroked = see(socket, 3)
    left, right = (stroked.crop(box) for box in ((0, 0, 24, 64), (40, 0, 128, 64)))
    assert brightness(left) > brightness(dark) + 60
    assert abs(brightness(right) - brightness(dark.crop((40, 0, 128, 64)))) < 3


def test_a_mask_keeps_what_it_does_not_paint(served: Served) -> None:
    mask = Image.new("L", PIXELS, 0)
    mask.paste(255, (64, 0, 128, 64))
    out = io.BytesIO()
    mask.save(out, "PNG")
    with dial(served) as socket:
        put(socket, 1, plain(200))
        put(socket, 2, out.getvalue(), "mask")
        say(socket, 3, "a cat", steps=2, strength=1.0)
        header, masked = see(socket, 3)
        assert header["masked"]
        put(socket, 4, b"\xff" * 128 * 64, "mask", x=0, y=0, width=128, height=64, raw=True)
        _, everywhere = see(socket, 4)
        tell(socket, sequence=5, mask=None)
        header, without = see(socket, 5)
        assert not header["masked"]
    left = masked.crop((0, 0, 48, 64)).tobytes()
    assert all(abs(level - 200) < 4 for level in left)
    assert everywhere.crop((0, 0, 48, 64)).tobytes() != left
    assert without.tobytes() == everywhere.tobytes()


def test_strokes_are_followed_like_keystrokes_and_the_last_is_painted(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.01))
    with dial(served) as socket:
        put(socket, 1, plain(0))
        say(socket, 2, "a cat", steps=1, strength=0.1)
        for number in range(60):
            put(socket, 3 + number, b"\xff" * 4 * 2 * 64, x=2 * number, y=0, width=2, height=64, raw=True)
            time.sleep(0.004)
        frames = [hear_final(socket)]
        while frames[-1]["sequence"] < 62:
            frames.append(hear_final(socket))
        put(socket, 63, b"\xff" * 4 * 128 * 64, x=0, y=0, width=128, height=64, raw=True)
        _, white = see(socket, 63)
    assert 5 < len(frames) < 60
    assert brightness(white) > 150


BAD: list[tuple[dict[str, Any], bytes | None, str]] = [
    ({"picture": {}}, b"no picture", "expected a PNG, JPEG, WebP"),
    ({"picture": {}}, plain(7)[:60], "expected a PNG, JPEG, WebP"),
    ({"picture": {}}, None, "without its bytes"),
    ({"mask": {}}, plain(7), "a mask without a picture"),
    ({"mask": {"x": 0, "y": 0, "width": 1, "height": 1, "raw": True}}, b"\0", "a mask without a picture"),
    ({"picture": {"x": 0, "y": 0, "width": 1, "height": 1}}, png_bytes(1, 1), "a region without a picture"),
    ({"picture": {"x": -1, "y": 0, "width": 1, "height": 1}}, png_bytes(1, 1), "x and y from 0"),
    ({"picture": {"x": 0}}, png_bytes(1, 1), "another picture"),
    ({"picture": {"path": "/etc/passwd"}}, None, "another picture"),
    ({"picture": {"kept": "../../etc/passwd"}}, None, "expected the id of a picture in the gallery"),
    ({"picture": {"kept": 7}}, None, "expected its id"),
    ({"picture": {"under": "x"}}, None, "painted over another"),
    ({"picture": 7}, None, "another picture"),
    ({"picture": None, "mask": None}, None, "one after the other"),
    ({"picture": None}, b"bytes", "belong to nothing"),
    ({"prompt": "a cat"}, b"bytes", "belong to nothing"),
    ({"prompt": "a cat", "settings": {"strength": "much"}}, None, "strength"),
    ({"prompt": "a cat", "settings": {"strength": 1.5}}, None, "strength"),
    ({"prompt": "a cat", "settings": {"strength": float("nan")}}, None, "strength"),
]


def test_bad_pictures_are_told_in_a_sentence_and_the_session_goes_on(served: Served) -> None:
    for number, (message, data, says) in enumerate(BAD, start=1):
        with dial(served) as socket:
            header = {"sequence": number, **message}
            socket.send(json.dumps(header) if data is None else pack(header, data))
            failed = hear(socket)
            assert failed["type"] == "failed"
            assert failed["sequence"] == number
            assert says in failed["message"], failed
            say(socket, number + 1, "a cat", steps=1)
            assert hear(socket)["sequence"] == number + 1


@pytest.mark.parametrize("message", [b"", b"\0\0", b"\0\0\0\x09{}", b"\xff\xff\xff\xff{}", b"\0\0\0\x01{"])
def test_a_cut_binary_message_is_told(served: Served, message: bytes) -> None:
    with dial(served) as socket:
        socket.send(message)
        assert "no JSON" in hear(socket)["message"]


def test_a_bad_stroke_leaves_the_canvas_as_it_was(served: Served) -> None:
    with dial(served) as socket:
        put(socket, 1, plain(100))
        say(socket, 2, "a cat", steps=1, strength=0.3)
        _, before = see(socket, 2)
        put(socket, 3, bytes(5), x=0, y=0, width=128, height=64, raw=True)
        assert "5 bytes; expected 32,768" in hear(socket)["message"]
        put(socket, 4, plain(0), x=100, y=0, width=128, height=64)
        assert "inside 128x64" in hear(socket)["message"]
        say(socket, 5, "a cat", steps=1, strength=0.3)
        header, after = see(socket, 5)
    assert header["repeated"]
    assert after.tobytes() == before.tobytes()


def test_a_message_with_a_number_that_does_not_rise_changes_nothing(served: Served) -> None:
    with dial(served) as socket:
        put(socket, 5, plain(255))
        put(socket, 5, plain(0))
        put(socket, 4, plain(0))
        say(socket, 6, "a cat", steps=1, strength=0.1)
        assert brightness(see(socket, 6)[1]) > 150


def test_a_thousand_strokes_at_once_close_the_socket_and_harm_nobody(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(messages_per_s=100)))
    with dial(served) as other, dial(served) as socket:
        region = {"x": 0, "y": 0, "width": 1, "height": 1, "raw": True}
        strokes = [pack({"sequence": 2 + number, "picture": region}, bytes(4)) for number in range(1000)]
        with pytest.raises(ConnectionClosed) as caught:
            send_all_and_listen(socket, [pack({"sequence": 1, "picture": {}}, plain(0)), *strokes])
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008
        say(other, 1, "a cat", steps=1)
        assert hear(other)["final"]
    served.wait_for(lambda: served.studio.engine.stats().sessions == 0)


def test_pictures_have_a_largest_message_and_all_of_a_client_a_largest_canvas(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(live_picture_bytes=100_000, canvas_pixels_per_client=128 * 64)))
    with dial(served) as socket, pytest.raises(ConnectionClosed) as caught:
        send_all_and_listen(socket, [pack({"sequence": 1, "picture": {}}, bytes(100_001))])
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009
    with dial(served) as first, dial(served) as second:
        put(first, 1, plain(255))
        say(first, 2, "a cat", steps=1)
        assert see(first, 2)[0]["strength"] == 0.75
        put(second, 1, plain(255))
        assert "in all; expected at most 8,192" in hear(second)["message"]
        tell(first, sequence=3, picture=None)
        see(first, 3)
        put(second, 2, plain(255))
        say(second, 3, "a cat", steps=1)
        assert see(second, 3)[0]["strength"] == 0.75
    served.wait_for(lambda: not served.studio.canvases._held)


def test_a_kept_picture_and_what_it_was_painted_over_are_put_down_by_their_id(served: Served) -> None:
    entry = keep(served, picture=base64.b64encode(plain(250)).decode(), strength=0.2)
    with served.client() as client:
        kept = client.get(entry["url"]).content
    with dial(served) as socket:
        tell(socket, sequence=1, picture={"kept": entry["id"]})
        say(socket, 2, "a dog", steps=1, strength=0.2)
        _, by_id = see(socket, 2)
        put(socket, 3, kept)
        header, by_bytes = see(socket, 3)
        assert header["repeated"]
        tell(socket, sequence=4, picture={"under": entry["id"]})
        _, under = see(socket, 4)
        put(socket, 5, plain(250))
        header, _ = see(socket, 5)
        assert header["repeated"]
    assert by_id.tobytes() == by_bytes.tobytes() != under.tobytes()


def test_a_frame_is_kept_as_it_was_seen(served: Served) -> None:
    settings = {**SIZE, "steps": 2, "seed": 3, "guidance": 1.0}
    with dial(served) as socket:
        put(socket, 1, plain(180))
        say(socket, 2, "a cat", **settings, strength=0.35)
        _, seen = see(socket, 2)
    sent = base64.b64encode(plain(180)).decode()
    entry = keep(served, {**settings, "prompt": "a cat"}, picture=sent, strength=0.35, full_steps=True)
    with served.client() as client:
        kept = client.get(f"/pictures/{entry['id']}.jpeg").content
    assert Image.open(io.BytesIO(kept)).convert("RGB").tobytes() == seen.tobytes()


def keep(served: Served, request: dict[str, Any] | None = None, **init: Any) -> dict[str, Any]:
    """Have a job painted over `init` and return its entry."""
    with served.client() as client:
        answer = client.post("/api/jobs", json={"request": {**REQUEST, **(request or {})}, "init": init})
    name, data = events_of(answer.text)[-1]
    assert name == "done", answer.text
    entry: dict[str, Any] = data["pictures"][0]
    return entry

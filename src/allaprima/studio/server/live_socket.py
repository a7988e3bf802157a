"""The live socket: every keystroke in, pictures out.

In, a text message of JSON:

    {"sequence": 7, "prompt": "a cat on a roof", "settings": {"steps": 4, "seed": 1}}

Out, one binary message per frame: four bytes with the length of the header (big-endian), the header as JSON, the
JPEG. What cannot be painted is a text message {"type": "failed", "sequence": 7, "message": ..., "id": ...}.

A reader that is too slow for the frames gets the newest and misses those between; the last one always comes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from allaprima.core.errors import AllaPrimaError, BusyError, RequestError
from allaprima.core.request import LoraUse
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import Frame, LiveFailed, LivePrompt, LiveSettings, LiveUpdate
from allaprima.studio.server.connections import from_thread
from allaprima.studio.server.errors import hide_paths, new_id
from allaprima.studio.server.limits import RateLimiter
from allaprima.studio.server.security import client_of
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.studio import Studio

router = APIRouter()

MAX_MISTAKES = 20
"""Messages that are none of ours, after which a socket is closed: a program speaks something else."""
CLOSE_POLICY = 1008
CLOSE_BUSY = 1013
_BURST_S = 2.0
_KEYS = frozenset({"sequence", "prompt", "settings"})
_SETTINGS = frozenset(setting.name for setting in fields(LiveSettings))
_LOG = logging.getLogger(__name__)
Complete = Callable[[Mapping[str, Any]], dict[str, Any]]


class UnreadableError(RequestError):
    """The socket cannot read a message; a prompt that can be read but not painted is no such error."""


@dataclass
class Mailbox:
    """What waits to be sent: failures, and the newest frame. Belongs to the event loop."""

    missed: int = 0
    """Frames that a newer one replaced before they could be sent."""
    _frame: Frame | None = None
    _failures: list[LiveFailed] = field(default_factory=list)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, update: LiveUpdate) -> None:
        """Queue `update`; a frame replaces the frame before it."""
        if isinstance(update, Frame):
            self.missed += self._frame is not None
            self._frame = update
        elif len(self._failures) < MAX_MISTAKES:
            self._failures.append(update)
        self._ready.set()

    async def take(self) -> LiveUpdate:
        """Wait for the next update, failures first."""
        while True:
            await self._ready.wait()
            if self._failures:
                return self._failures.pop(0)
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            self._ready.clear()


def pack_frame(frame: Frame) -> bytes:
    """Return the binary message of a frame."""
    facts = {name: value for name, value in vars(frame).items() if name != "jpeg"}
    timings_ms = {stage: round(ms, 3) for stage, ms in frame.timings_ms.items()}
    header = {"type": "frame", **facts, "timings_ms": timings_ms}
    text = json.dumps(header, ensure_ascii=False).encode()
    return b"".join((struct.pack(">I", len(text)), text, frame.jpeg))


def unpack_frame(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and JPEG of a binary message; for clients and tests.

    Raises:
        ValueError: the message is cut short or its header no JSON object.
    """
    if len(message) < 4 or len(message) < 4 + (length := struct.unpack_from(">I", message)[0]):
        raise ValueError(f"got a message of {len(message)} bytes; expected a length, a header and a picture")
    header = json.loads(message[4 : 4 + length])
    if not isinstance(header, dict):
        raise ValueError("got a header that is no JSON object")
    return header, message[4 + length :]


def parse_message(text: str, caps: Caps, complete: Complete) -> LivePrompt:
    """Return the prompt in a client's message; `complete` gives the settings that are left out their values.

    Raises:
        UnreadableError: it is no such message.
        RequestError: a value is out of range.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        message = "got a message that is no JSON; expected an object with sequence and prompt"
        raise UnreadableError(message) from None
    if not isinstance(data, dict) or not {"sequence", "prompt"} <= set(data) <= _KEYS:
        raise UnreadableError(
            "got another message; expected an object with sequence, prompt and perhaps settings"
        )
    if not isinstance(data["prompt"], str):
        raise UnreadableError("got a prompt that is no text; expected words")
    settings = _parse_settings(data.get("settings", {}), complete)
    live = LivePrompt(sequence=data["sequence"], prompt=data["prompt"], settings=settings)
    caps.check_size(settings.width, settings.height)
    return live


def _parse_settings(data: object, complete: Complete) -> LiveSettings:
    if not isinstance(data, Mapping) or not set(data) <= _SETTINGS:
        known = ", ".join(sorted(_SETTINGS))
        raise UnreadableError(f"got other settings; expected an object with some of {known}")
    values = dict(data)
    if "loras" in values:
        if not isinstance(values["loras"], list) or len(values["loras"]) > 100:
            raise RequestError("got loras that are no list; expected objects with name and weight")
        values["loras"] = tuple(map(LoraUse.from_json, values["loras"]))
    return LiveSettings(**complete(values))


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Serve one live session until either side closes it."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    try:
        with studio.sockets.hold(client_of(socket)):
            mailbox = Mailbox()
            session = studio.engine.open_live(from_thread(mailbox.put))
            sender = asyncio.create_task(_send_all(socket, mailbox))
            try:
                await _read_all(socket, session, mailbox, studio)
            finally:
                session.close()
                sender.cancel()
                studio.frames_missed += mailbox.missed
                await asyncio.gather(sender, return_exceptions=True)
    except BusyError as error:
        await socket.close(CLOSE_BUSY, str(error)[:120])


async def _read_all(socket: WebSocket, session: LiveSession, mailbox: Mailbox, studio: Studio) -> None:
    caps = studio.settings.caps
    limiter = RateLimiter(rate=caps.messages_per_s, burst=caps.messages_per_s * _BURST_S)
    mistakes = 0
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if limiter.wait_s("") > 0:
            await socket.close(CLOSE_POLICY, "too many messages")
            return
        sequence = 0
        try:
            if text is None:
                raise UnreadableError("got a binary message; expected JSON text")
            prompt = parse_message(text, caps, studio.complete_live)
            sequence = prompt.sequence
            session.ask(prompt)
        except AllaPrimaError as error:
            mistakes += isinstance(error, UnreadableError)
            problem_id = new_id()
            _LOG.info("%s: on a live socket: %s", problem_id, error)
            sequence = sequence or _sequence_of(text)
            mailbox.put(LiveFailed(sequence=sequence, message=str(error), id=problem_id))
        if mistakes > MAX_MISTAKES:
            await socket.close(CLOSE_POLICY, "too many messages that cannot be read")
            return


async def _send_all(socket: WebSocket, mailbox: Mailbox) -> None:
    try:
        while socket.application_state is WebSocketState.CONNECTED:
            update = await mailbox.take()
            if isinstance(update, Frame):
                await socket.send_bytes(pack_frame(update))
            else:
                failed = {"type": "failed", **vars(update), "message": hide_paths(update.message)}
                await socket.send_text(json.dumps(failed))
    except (WebSocketDisconnect, RuntimeError, OSError):
        _LOG.debug("a live socket closed while a frame was sent")


def _sequence_of(text: str | None) -> int:
    """Return the sequence number in a message that cannot be used otherwise, 0 if there is none."""
    try:
        data = json.loads(text or "")
    except (ValueError, RecursionError):
        return 0
    sequence = data.get("sequence") if isinstance(data, dict) else None
    return sequence if isinstance(sequence, int) and 0 <= sequence < 2**53 else 0

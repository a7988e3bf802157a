"""The live socket: every keystroke in, pictures out.

What is said is in `live_messages`. In, words and changes of what they are painted over; out, one binary message per
frame. What cannot be painted is a text message {"type": "failed", "sequence": 7, "message": ..., "id": ...}.

A reader that is too slow for the frames gets the newest and misses those between; the last one always comes.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from allaprima.core.errors import AllaPrimaError, BusyError
from allaprima.studio.engine.door import LiveDoor
from allaprima.studio.engine.messages import Frame, LiveFailed, LiveUpdate
from allaprima.studio.server.connections import from_thread
from allaprima.studio.server.errors import hide_paths, new_id
from allaprima.studio.server.limits import HeldAmount, RateLimiter
from allaprima.studio.server.live_canvas import LiveCanvas
from allaprima.studio.server.live_conversation import LiveConversation
from allaprima.studio.server.live_messages import UnreadableError, pack_frame, parse_message, sequence_of
from allaprima.studio.server.security import client_of
from allaprima.studio.server.studio import Studio

router = APIRouter()

MAX_MISTAKES = 20
"""Messages that are none of ours, after which a socket is closed: a program speaks something else."""
CLOSE_POLICY = 1008
CLOSE_BUSY = 1013
CLOSE_TOO_LARGE = 1009
_BURST_S = 2.0
_LOG = logging.getLogger(__name__)


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


async def _read_all(socket: WebSocket, session: LiveDoor, mailbox: Mailbox, studio: Studio) -> None:
    caps = studio.settings.caps
    limiter = RateLimiter(rate=caps.messages_per_s, burst=caps.messages_per_s * _BURST_S)
    canvas = LiveCanvas(caps)
    conversation = LiveConversation(canvas=canvas, gallery=studio.gallery, complete=studio.complete_live)
    mistakes = 0
    with studio.canvases.hold(client_of(socket)) as place:
        while True:
            received = await socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            message = received["text"] if received.get("text") is not None else received["bytes"]
            if limiter.wait_s("") > 0:
                await socket.close(CLOSE_POLICY, "too many messages")
                return
            if isinstance(message, str) and len(message) > caps.message_bytes:
                await socket.close(CLOSE_TOO_LARGE, "too large a message")
                return
            try:
                said = parse_message(message, caps, studio.complete_live)
                if said.change is None:
                    prompt = conversation.follow(said)
                else:
                    prompt = await asyncio.to_thread(conversation.follow, said)
                    _weigh(canvas, place)
                if prompt is not None:
                    session.ask(prompt)
            except AllaPrimaError as error:
                mistakes += isinstance(error, UnreadableError)
                problem_id = new_id()
                _LOG.info("%s: on a live socket: %s", problem_id, error)
                mailbox.put(LiveFailed(sequence=sequence_of(message), message=str(error), id=problem_id))
            if mistakes > MAX_MISTAKES:
                await socket.close(CLOSE_POLICY, "too many messages that cannot be read")
                return


def _weigh(canvas: LiveCanvas, place: HeldAmount) -> None:
    """Take the canvas away again if its client's canvases are too large together."""
    try:
        place.change(canvas.pixels)
    except BusyError:
        canvas.clear_picture()
        place.change(0)
        raise


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

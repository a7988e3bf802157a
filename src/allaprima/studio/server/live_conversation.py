"""What one client of the live socket has said so far: its words, and what they are painted over.

conversation = LiveConversation(canvas=LiveCanvas(caps), gallery=gallery, complete=complete)
prompt = conversation.follow(parse_message(message, caps, complete))
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from allaprima.core.starting_picture import STRENGTH
from allaprima.studio.engine.messages import LivePrompt, LiveSettings
from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.live_canvas import CanvasSize, LiveCanvas
from allaprima.studio.server.live_messages import Change, Complete, LiveMessage


@dataclass(kw_only=True)
class LiveConversation:
    """The state of one socket. Belongs to it: one call at a time, in any thread."""

    canvas: LiveCanvas
    """What is painted over."""
    gallery: Gallery
    """Where kept pictures are found."""
    complete: Complete
    """Gives settings that are left out their values."""
    _words: LivePrompt | None = None
    """What was asked last, without what it is painted over."""
    _strength: float = STRENGTH
    _last: int = -1
    """The last sequence number."""

    def follow(self, message: LiveMessage) -> LivePrompt | None:
        """Do what `message` says and return what is to be painted then, None before there are words.

        A message whose sequence number is not above the last one's changes nothing.

        Raises:
            RequestError: its picture, mask or region cannot be used; all is as before, but for the sequence number.
        """
        if message.sequence <= self._last:
            return None
        self._last = message.sequence
        words = message.words or self._words
        if message.change is not None:
            self._change(message.change, self._size(words))
        if message.words is not None:
            self._words, self._strength = message.words, message.strength
        if words is None:
            return None
        over = self.canvas.to_init_image(self._size(words), self._strength)
        return replace(words, sequence=message.sequence, init_image=over)

    def _size(self, words: LivePrompt | None) -> CanvasSize:
        settings = LiveSettings(**self.complete({})) if words is None else words.settings
        return settings.width, settings.height

    def _change(self, change: Change, size: CanvasSize) -> None:
        canvas, data, region = self.canvas, change.data, change.region
        if change.kept is not None:
            canvas.set_picture(self.gallery.require_png(change.kept), size)
        elif change.under is not None:
            canvas.set_init_image(self.gallery.require_init_image(change.under))
        elif data is None:
            (canvas.clear_picture if change.part == "picture" else canvas.clear_mask)()
        elif change.part == "picture":
            canvas.set_picture(data, size) if region is None else canvas.change_picture(region, data)
        else:
            canvas.set_mask(data) if region is None else canvas.change_mask(region, data)

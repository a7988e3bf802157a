"""How a server is started, and the caps that bound what one client may ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from allaprima.core.errors import RequestError, UserError
from allaprima.core.request import MAX_SIDE_PX

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_TOKEN_CHARS = 16
_TOKEN = re.compile(rf"[!-~]{{{MIN_TOKEN_CHARS},}}")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*|[0-9a-f]*(:[0-9a-f.]*){2,}", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]+)?")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Bounds of one request or one client; what a request says beyond them is refused, never cut."""

    pixels: int = 2**22
    """Of one picture: 2048 x 2048."""
    steps: int = 150
    """Of one picture."""
    count: int = 16
    """Pictures in one request."""
    body_bytes: int = 256 * 2**10
    """Of a request without a picture in it."""
    upload_bytes: int = 32 * 2**20
    """Of a request with a picture in it, base64 and all."""
    upload_pixels: int = 2**24
    """Of a picture that is sent: 4096 x 4096."""
    upload_side: int = 2**14
    """Pixels along either side of a picture that is sent."""
    message_bytes: int = 64 * 2**10
    """Of one message on the live socket without a picture in it."""
    live_picture_bytes: int = 8 * 2**20
    """Of one message on the live socket with a picture in it."""
    openings: int = 2
    """Requests whose pictures are opened and prepared at once, of all clients; one of 4096 x 4096 may take 500 MB."""
    canvas_pixels_per_client: int = 2**25
    """That one address's live sessions are painted over: 8 pictures of 2048 x 2048, 512 of 256 x 256."""
    messages_per_s: float = 500.0
    """On one live socket; a person types 12."""
    sessions_per_client: int = 64
    """Live sockets open at once from one address."""
    jobs_per_client: int = 128
    """Jobs of whole pictures that one address has waiting or painted."""
    books_per_client: int = 2
    """Flipbooks that one address has bound at once."""
    writes_per_s: float = 50.0
    """Requests that start work or change something, from one address; bursts of ten times as many pass."""
    reads_per_s: float = 100.0
    """All others, from one address; bursts of ten times as many pass."""
    body_s: float = 60.0
    """Within which a request's body must have come."""
    all_bodies_bytes: int = 96 * 2**20
    """Of all requests under way with a picture in them; the one that has come longest gives way."""
    all_bodies_bytes_per_s: float = 64 * 2**20
    """Of all requests together, after a burst of two of the largest; painting goes on beside them."""
    head_s: float = 10.0
    """Within which a request's head must have come."""
    connections: int = 1024
    """Open at once, as far as the system's limit on open files allows; idle ones give way to new ones."""
    pings_per_s: float = 20.0
    """On one live socket; bursts of ten times as many pass."""
    message_pieces: int = 1000
    """Of one message on the live socket."""

    def check_count(self, count: int) -> None:
        """Refuse too many pictures."""
        if not 1 <= count <= self.count:
            raise RequestError(f"got {count} pictures; expected 1 to {self.count}", field="count")

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture of too many pixels, or of none."""
        if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
            raise RequestError(
                f"got size {width}x{height}; expected sides of 1 to {MAX_SIDE_PX}", field="size"
            )
        if width * height > self.pixels:
            raise RequestError(
                f"got {width}x{height} pixels; expected at most {self.pixels:,} in all", field="size"
            )


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a server is reached and by whom. Raises UserError for settings that are not safe together."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 7860
    """The port to listen on; 0 lets the system choose."""
    token: str | None = field(default=None, repr=False)
    """What a client must show; None, on the loopback alone, lets everyone in."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides the loopback's under which browsers may call; numeric addresses need no entry when listening."""
    cors_origins: tuple[str, ...] = ()
    """Origins such as https://example.com whose pages may call the API; none by default."""
    root_path: str = ""
    """The path under which a proxy shows the studio, such as /studio; nothing for the root of its host."""
    strict_sizes: bool = False
    """Whether a size that a base does not paint is refused, and not painted at the nearest and scaled."""
    caps: Caps = field(default_factory=Caps)
    """Bounds of one request or client."""

    def __post_init__(self) -> None:
        if not self.is_loopback and self.token is None:
            raise UserError(
                f"got the address {self.host} without a token; expected one, for everyone on the network could paint"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise UserError(
                f"got a token of {len(self.token)} characters; "
                f"expected {MIN_TOKEN_CHARS} or more ASCII letters, digits and signs, without spaces"
            )
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(name):
                raise UserError(
                    f"got the host name {name[:80]!r}; expected one such as studio.example, without scheme and port"
                )
        if self.root_path and not _ROOT_PATH.fullmatch(self.root_path):
            raise UserError(f"got the path {self.root_path[:80]!r}; expected one such as /studio")
        # What browsers send in Origin is compared letter by letter.
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise UserError(f"got the origin {origin[:80]!r}; expected one such as https://example.com")

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        return self.host in LOOPBACK

"""A Hugging Face hub on this machine: the few requests by which a client fetches a model."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "abcd"


@contextmanager
def serve_hub(folder: Path, hub_id: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the files in `folder` as the model `hub_id`; yields the address and the files fetched so far."""
    fetched: list[str] = []
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            del format, args

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            start = f"/{hub_id}/resolve/"
            if path.startswith(f"/api/models/{hub_id}"):
                listed: object = {"id": hub_id, "sha": COMMIT}
                if path.startswith(f"/api/models/{hub_id}/tree/"):
                    listed = [
                        {"type": "file", "path": name, "size": file.stat().st_size, "oid": _git_id(file)}
                        for name, file in files.items()
                    ]
                self._send(
                    json.dumps(listed).encode(), {"Content-Type": "application/json"}, with_body=with_body
                )
            elif path.startswith(start) and (name := path[len(start) :].partition("/")[2]) in files:
                body = files[name].read_bytes()
                fetched.extend([name] if with_body else [])
                etag = f'"{_git_id(files[name])}"'
                self._send(body, {"ETag": etag, "X-Repo-Commit": COMMIT}, with_body=with_body)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _send(self, body: bytes, headers: dict[str, str], *, with_body: bool) -> None:
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _git_id(file: Path) -> str:
    body = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()

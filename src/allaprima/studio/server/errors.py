"""What a client reads when something cannot be done: one sentence and an id, never a traceback.

The id stands in the log beside the cause. Each family of routes keeps the shape its clients know: A1111's under
/sdapi, OpenAI's everywhere else.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from allaprima.core.errors import AllaPrimaError, BusyError, LoraError, OutputError, PaintError, UserError

_LOG = logging.getLogger(__name__)
_FOLDERS = re.compile(r"""(?<![\w/:])/(?:[^/;\n]*[^/;\n:\s'"(]/)+""")
"""Matches an absolute path. Folders may have any name, so it cuts off a word too many rather than one too few."""
_HIDDEN: set[str] = set()
"""Folders of this process, as messages may write them, with the slash at the end."""
_COMES_BACK = 503
_OPENAIS = {"width": "size", "height": "size", "base": "model", "count": "n"}
"""Fields of a request to what OpenAI's routes call them."""
_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 429: "rate_limit_error",
}  # fmt: skip


class ProblemError(Exception):
    """An answer other than success, decided where the reason is known."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        problem_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.id = problem_id


def hide_folder(folder: Path) -> None:
    """Let `hide_paths` know a folder of this process, relative or of a name that no pattern can tell from words."""
    for path in (folder, folder.absolute(), folder.resolve()):
        for place in (path, path.parent):
            if place.name:
                _HIDDEN.update({f"{place}/", repr(f"{place}/")[1:-1]})


def hide_paths(text: str) -> str:
    """Return `text` with the folders of paths cut off: clients may see names, the log has the places."""
    for place in sorted(_HIDDEN, key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.-]){re.escape(place)}", "/-/", text)
    return _FOLDERS.sub("", text)


def new_id() -> str:
    """Return an id for one event in the log."""
    return secrets.token_hex(6)


def problem_response(problem: ProblemError, path: str) -> Response:
    """Return the answer to a request at `path`, and write the problem to the log."""
    problem_id = problem.id or new_id()
    level = logging.ERROR if problem.status >= 500 else logging.INFO
    # One kind for each sort of refusal: a stranger may be refused as often as the network lets him ask.
    kind = f"{problem.status} {problem.code}"
    said = (problem_id, problem.status, path[:200], problem.message)
    _LOG.log(level, "%s: %d at %r: %s", *said, extra={"kind": kind})
    headers = problem.headers
    if problem.status >= 500 and problem.status != _COMES_BACK:
        # OpenAI's clients repeat these by themselves, at the price of a whole picture, and fail again.
        headers = {"x-should-retry": "false", **headers}
    kind = _KINDS.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    if path.startswith("/sdapi/"):
        text = problem.message
        body: dict[str, Any] = {"error": kind, "detail": text, "body": "", "errors": text, "id": problem_id}
    else:
        param = _OPENAIS.get(problem.param or "", problem.param) if path.startswith("/v1/") else problem.param
        error = {"message": problem.message, "type": kind, "param": param, "code": problem.code}
        body = {"error": {**error, "id": problem_id}}
    return JSONResponse(body, problem.status, headers)


def to_problem(error: ProblemError | AllaPrimaError) -> ProblemError:
    """Return what a client reads about an error of ours."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, BusyError):
        return ProblemError(429, str(error), code="busy", headers={"retry-after": "2"})
    if isinstance(error, OutputError):
        # Where the server keeps its files is nobody's business but the log's.
        problem_id = new_id()
        _LOG.error("%s: %s", problem_id, error)
        message = "the picture could not be kept: the server has no room for it"
        return ProblemError(507, message, problem_id=problem_id)
    if isinstance(error, UserError):
        param = "loras" if isinstance(error, LoraError) else error.field
        return ProblemError(400, hide_paths(str(error)), code="invalid_value", param=param)
    message = hide_paths(str(error)) if isinstance(error, PaintError) else "something went wrong"
    return ProblemError(500, message, code="failed")


def describe_validation(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """Return one sentence about pydantic's first complaint, and the field it is about; never the value itself."""
    if not errors:
        return "the request is not what was expected", None
    first = errors[0]
    if first.get("type") == "json_invalid":
        return "the body is no JSON; expected an object", None
    place = [str(part)[:40] for part in first.get("loc", ()) if part not in ("body", "query", "path")]
    field = ".".join(place) or None
    message = str(first.get("msg", "is not what was expected"))[:300]
    return (f"{field}: {message}" if field else message), field


def install_handlers(app: FastAPI) -> None:
    """Make `app` answer every error in its family's shape."""

    async def answer(request: Request, error: Exception) -> Response:
        path = request.url.path
        if isinstance(error, HTTPException):
            problem = ProblemError(error.status_code, str(error.detail), headers=error.headers)
        elif isinstance(error, RequestValidationError):
            message, field = describe_validation(error.errors())
            status = 422 if path.startswith("/sdapi/") else 400
            problem = ProblemError(status, message, code="invalid_value", param=field)
        else:
            assert isinstance(error, ProblemError | AllaPrimaError)
            problem = to_problem(error)
        return problem_response(problem, path)

    for kind in (ProblemError, AllaPrimaError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)

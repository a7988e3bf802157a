"""Report cards of LoRAs and bases, as `prima report` has written them into a folder."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from allaprima.core.files import read_ordinary
from allaprima.core.report_place import report_path
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.studio import StudioDep

router = APIRouter(tags=["studio"])

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""A report holds its style and pictures, and nothing that runs."""


@router.get("/reports/{name:path}", response_class=Response)
def report(name: str, studio: StudioDep) -> Response:
    """Return the report card of the LoRA or base of that name, as a page."""
    try:
        page = read_ordinary(report_path(studio.reports, name))
    except (OSError, ValueError):
        raise ProblemError(404, "there is no report of that name", code="not_found") from None
    headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


def files_of_reports(folder: Path) -> frozenset[str]:
    """Return the names of what lies in the folder of reports; nothing if that is not there."""
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:
        return frozenset()

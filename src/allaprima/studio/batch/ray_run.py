"""A batch through Ray Data, on as many machines as a Ray cluster has.

Each actor holds a painter and writes what it paints, so the folder has to be one that all machines share.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allaprima.core.errors import AllaPrimaError, UserError
from allaprima.core.progress import track
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.batch.lines import BatchLine
from allaprima.studio.batch.record import BatchRecord

Row = dict[str, Any]
"""What goes to an actor and comes back: a line's number, and JSON, for all rows of a table have the same columns."""


@dataclass(kw_only=True)
class RowPainter:
    """Paints rows; one lives in each actor."""

    load: Callable[[str, str | None], Painter]
    """Loads a base, by name, on a device."""
    folder: Path
    ending: str
    _painter: Painter | None = None
    _base: str = ""

    def __call__(self, row: Row) -> Row:
        """Paint one row, and return its number with the file's name, or the reason why there is none."""
        asked = json.loads(row["json"])
        request = GenerationRequest.from_json(asked["request"])
        try:
            if self._painter is None or self._base != request.base:
                self._painter, self._base = self.load(request.base, None), request.base
            picture = self._painter.paint(request)
            path = picture.save(self.folder / f"{asked['stem']}{self.ending}")
        except AllaPrimaError as error:
            return _answer(row, error=str(error), broken=not isinstance(error, UserError))
        except Exception as error:  # noqa: BLE001  one row's trouble is not the others'
            return _answer(row, error=f"painting failed: {type(error).__name__}: {error}", broken=True)
        return _answer(row, file=path.name, remarks=list(picture.remarks))


def paint_with_ray(
    painter: RowPainter,
    lines: Sequence[BatchLine],
    record: BatchRecord,
    *,
    address: str,
    replicas: int,
    gpus: float,
) -> None:
    """Paint `lines` on the Ray cluster at `address`, and note in `record` what becomes of each.

    Args:
        painter: what each actor does; it is sent to them.
        lines: those whose pictures are not there.
        record: gets the outcomes.
        address: as `ray.init` takes it; "local" starts a Ray of this machine's own.
        replicas: actors.
        gpus: of each.

    Raises:
        UserError: Ray is not installed, or nobody answers at the address.
    """
    if not lines:
        return
    for row in track(
        _rows(painter, lines, address, replicas, gpus), total=len(lines), label="painting", unit="pictures"
    ):
        number, told = int(row["line"]), json.loads(row["json"])
        if told["error"]:
            record.failed[number] = told["error"]
            record.broken |= told["broken"]
        else:
            record.painted[number] = record.folder / told["file"]
            record.remarks[number] = tuple(told["remarks"])


def _rows(
    painter: RowPainter, lines: Sequence[BatchLine], address: str, replicas: int, gpus: float
) -> Iterator[Mapping[str, Any]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
    except ImportError as error:
        raise UserError(
            'got --ray without Ray; expected it installed: pip install "allaprima[cluster]"'
        ) from error
    try:
        own = {"include_dashboard": False} if address == "local" else {}
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True, **own)
    except Exception as error:  # Ray raises what it likes, a plain Exception too
        raise UserError(
            f"no Ray at {address}: {error}; expected the address of a cluster, auto, or local"
        ) from error
    try:
        rows = [
            {"line": one.number, "json": json.dumps({"stem": one.stem, "request": one.request.to_json()})}
            for one in lines
        ]
        data = ray.data.from_items(rows, override_num_blocks=max(1, min(len(rows), 4 * replicas)))
        painted = data.map(
            RowPainter, fn_constructor_kwargs=dict(vars(painter)), concurrency=replicas, num_gpus=gpus or None
        )
        yield from painted.iter_rows()
    finally:
        ray.shutdown()


def _answer(
    row: Row, *, file: str = "", error: str = "", broken: bool = False, remarks: Sequence[str] = ()
) -> Row:
    told = {"file": file, "error": error, "broken": broken, "remarks": list(remarks)}
    return {"line": row["line"], "json": json.dumps(told)}

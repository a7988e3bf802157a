"""The log: one printable line for each record, and few records of one kind."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.studio.server.conftest import Serve

from allaprima.studio.server.log_lines import BURST, LINE, PrintableFormatter, RepetitionFilter, printable
from allaprima.studio.server.settings import ServerSettings


@contextmanager
def written(repetitions: RepetitionFilter | None = None) -> Iterator[io.StringIO]:
    """Have the server's loggers write into a text."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(PrintableFormatter(LINE))
    handler.addFilter(repetitions or RepetitionFilter())
    logger = logging.getLogger("allaprima")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield out
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("\r\x00\x7f\x9b", r"\r\x00\x7f\x9b"),
        ("right\u202eleft\u2028", r"right\u202eleft\u2028"),
        ("雪山 é", "雪山 é"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_is_one_line_and_a_traceback_is_indented() -> None:
    with written() as out:
        log = logging.getLogger("allaprima.test")
        log.warning("got %s", "a\n2026-01-01 INFO forged\x1b[0m")
        try:
            raise ValueError("b\n2026-01-01 INFO forged\x1b[0m")
        except ValueError:
            log.exception("it failed")
    lines = out.getvalue().splitlines()
    assert lines[0].endswith(r"got a\n2026-01-01 INFO forged\x1b[0m")
    assert lines[1].endswith("ERROR it failed")
    assert all(line.startswith("  ") for line in lines[2:])
    assert "\x1b" not in out.getvalue()


def test_many_of_one_kind_are_summed_up() -> None:
    now = [0.0]
    with written(RepetitionFilter(clock=lambda: now[0])) as out:
        log = logging.getLogger("allaprima.test")
        for number in range(1000):
            log.warning("%d: refused", number, extra={"kind": "429"})
        log.warning("%d: other", 1)
        now[0] = 5.0
        log.warning("%d: refused", 1000, extra={"kind": "429"})
    lines = out.getvalue().splitlines()
    assert len(lines) == BURST + 2
    assert lines[-1].endswith(f"1000: refused (and {1000 - BURST} more like it)")


def test_a_stranger_writes_no_line_of_the_log(serve: Serve) -> None:
    served = serve(ServerSettings(token="correct-horse-battery"))
    with written() as out, served.client() as client:
        for name in ("a\n2026-11-30 00:00:00,000 INFO forged", "\x1b[31mred", "a\r\u202e"):
            assert client.post("/login", json={"token": "x", name: 1}).status_code == 400
            assert client.get("/" + name.encode().hex()).status_code == 401
    assert "forged" in out.getvalue()
    assert all("INFO" in line.split("forged")[0] for line in out.getvalue().splitlines())
    assert out.getvalue().isascii()


def test_refusals_do_not_fill_the_log(serve: Serve) -> None:
    served = serve(ServerSettings(token="correct-horse-battery"))
    with written() as out, served.client() as client:
        statuses = {client.get("/api/" + "x" * 500).status_code for _ in range(400)}
    assert statuses == {401}
    assert out.getvalue().count(": 401 at") < 40

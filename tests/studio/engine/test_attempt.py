from __future__ import annotations

import logging

import pytest

from allaprima.core.errors import PaintError, RequestError
from allaprima.studio.engine.attempt import Failure, attempt, attempted


def divide(number: int, by: int = 1) -> float:
    return number / by


def test_an_error_becomes_a_value() -> None:
    assert attempt(divide, 4, by=2) == 2.0
    failure = attempted(divide)(4, by=0)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ZeroDivisionError)


def test_what_is_no_error_goes_on() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(stop)


def test_our_errors_speak_and_others_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for error, message in (
        (RequestError("got 0 steps"), "got 0 steps"),
        (PaintError("too dark"), "too dark"),
    ):
        failure = Failure(error)
        assert failure.explain()[0] == message
        assert failure.at_fault == isinstance(error, RequestError)
    with caplog.at_level(logging.ERROR):
        message, number = Failure(OSError("a secret of the machine")).explain()
    assert "secret" not in message
    assert number in message
    assert number in caplog.text
    assert "a secret of the machine" in caplog.text

"""The errors, told apart."""

from __future__ import annotations

from allaprima.core.errors import AllaPrimaError, PaintError, RequestError, UserError


def test_users_mistakes_and_our_failures_are_told_apart() -> None:
    assert issubclass(RequestError, UserError)
    assert issubclass(UserError, ValueError)
    assert issubclass(PaintError, AllaPrimaError)
    assert not issubclass(PaintError, UserError)

"""The options of `prima paint`, refused before anything is loaded."""

from __future__ import annotations

import pytest

from allaprima.cli.app import run


@pytest.mark.parametrize(
    "arguments",
    [["cat", "--format", "gif"], ["cat", "--steps", "many"], ["cat", "dog"], ["cat", "--nonsense"]],
)
def test_options_that_typer_refuses_exit_with_2(arguments: list[str]) -> None:
    assert run(["paint", *arguments]) == 2

"""`prima train`: options that would do nothing are refused."""

from __future__ import annotations

import pytest

from allaprima.cli.app import run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("denoiser run --cache c --compile", "for every length is compiled anew"),
        ("denoiser run --cache c --text-tokens 24 --text-multiple 8", "both say how long captions are"),
        ("release run denoiser -o d --start a", "expected it for an autoencoder"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *words.split()]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())

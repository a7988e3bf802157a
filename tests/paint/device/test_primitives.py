"""Kernels that oneDNN keeps, told by its own log in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from allaprima.paint.device.primitives import KEPT, VARIABLE, keep_few_primitives

SHAPES = f"""
import torch
from allaprima.paint.device.primitives import keep_few_primitives

torch.set_num_threads(1)
keep_few_primitives()
for _ in range(2):
    for width in range(8, 8 + {KEPT} + 16):
        torch.ones(1, 1, 8, width).to_mkldnn().relu()
"""


def made(**variables: str) -> int:
    """Return how many kernels 144 shapes take that come twice."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ran = subprocess.run(
        [sys.executable, "-c", SHAPES],
        env={**environment, "ONEDNN_VERBOSE": "profile_create", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.count("cache_miss")


def test_as_many_are_kept_as_were_chosen_here_or_by_the_user() -> None:
    few, many = made(), made(**{VARIABLE: "1024"})
    if not many:
        pytest.skip("torch computes convolutions without oneDNN here")
    assert few > many


def test_a_users_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "7")
    keep_few_primitives()
    assert os.environ[VARIABLE] == "7"

from __future__ import annotations

import psutil
import pytest

from allaprima.core import system_limits


def test_the_process_is_measured() -> None:
    resident = psutil.Process().memory_info().rss
    assert 0.5 * resident < system_limits.peak_resident_bytes() < 100 * resident
    free, total = system_limits.memory_bytes()
    assert 0 < free < total


def test_a_system_without_resource_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_limits, "_resource", None)
    assert (system_limits.open_files(), system_limits.address_space_bytes()) == (None, None)
    assert system_limits.peak_resident_bytes() > 2**20

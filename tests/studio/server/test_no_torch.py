"""The server is light: whoever imports it waits for no torch."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_server_loads_no_torch() -> None:
    code = "import allaprima.studio.server.app, sys; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers", "numpy"} & set(ran.stdout.split())

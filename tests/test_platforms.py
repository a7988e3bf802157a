"""What only some systems have is asked for with care, so that the package can be imported on Windows and macOS."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.source import TREES

ABSENT = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
"""Modules that Windows lacks."""
ABSENT_NAMES = {
    "os": {
        "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fork", "forkpty", "getegid", "geteuid", "getgid",
        "getloadavg", "getpgid", "getuid", "killpg", "mkfifo", "nice", "posix_fallocate", "posix_spawn",
        "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "setitimer",
    },
}  # fmt: skip
"""Names that Windows, or macOS, lacks; they are asked for by hasattr or getattr."""
HIDE = f"""
import importlib, os, pkgutil, signal, sys
import accelerate, diffusers, fastapi, PIL.Image, psutil, torch, transformers, uvicorn, peft, torchmetrics
import huggingface_hub, multiprocessing.pool, prometheus_client, rich.progress, typer, subprocess, tempfile
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {ABSENT!r}:
            raise ModuleNotFoundError(name)
for name in {ABSENT!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for module, names in {ABSENT_NAMES!r}.items():
    for name in names:
        sys.modules[module].__dict__.pop(name, None)
import allaprima
failed = dict()
names = [one.name for one in pkgutil.walk_packages(allaprima.__path__, "allaprima.")]
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(len(names), failed)
"""


def unguarded(tree: ast.AST) -> Iterator[str]:
    """Yield what a module asks for that some systems lack, without a try or a hasattr around it."""
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.Try)
        and any("ModuleNotFoundError" in ast.unparse(handler) for handler in block.handlers)
        for node in ast.walk(block)
    }
    text = ast.unparse(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in guarded:
            named = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            )
            yield from ABSENT & set(named)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner, name = node.value.id, node.attr
            if name in ABSENT_NAMES.get(owner, ()) and f"hasattr({owner}, '{name}')" not in text:
                yield f"{owner}.{name}"


def test_what_some_systems_lack_is_asked_for_with_care() -> None:
    found = {module: [*unguarded(tree)] for module, tree in TREES.items()}
    assert {module: names for module, names in found.items() if names} == {}


def test_a_careless_module_is_seen() -> None:
    assert [*unguarded(ast.parse("import resource, os\nos.fork()"))] == ["resource", "os.fork"]
    careful = (
        "try:\n  import fcntl\nexcept ModuleNotFoundError:\n  fcntl = None\nhasattr(os, 'fork') and os.fork()"
    )
    assert [*unguarded(ast.parse(careful))] == []


@pytest.mark.slow
def test_everything_is_imported_where_they_are_not() -> None:
    ran = subprocess.run([sys.executable, "-c", HIDE], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    count, _, failed = ran.stdout.strip().splitlines()[-1].partition(" ")
    assert int(count) > 300
    assert failed == "{}"

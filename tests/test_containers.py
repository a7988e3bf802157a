"""The container's files against the program, and, where a builder is at hand, a whole build."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

from allaprima.cli.app import app
from allaprima.core.picture_files import read_request

ROOT = Path(__file__).parents[1]
MOST_BYTES = 1.5e9
"""Of the image for a processor alone."""


def instructions() -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    split = (line.partition(" ") for line in lines if line.strip() and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in split]


DOCKERFILE = instructions()


def last(word: str) -> str:
    return [rest for name, rest in DOCKERFILE if name == word][-1]


def test_it_runs_as_a_user_of_its_own_with_a_health_check() -> None:
    assert last("USER") == "painter"
    assert DOCKERFILE.index(("USER", "painter")) < DOCKERFILE.index(("CMD", last("CMD")))
    port = last("EXPOSE")
    assert f"http://127.0.0.1:{port}/healthz" in last("HEALTHCHECK")
    command = ast.literal_eval(last("CMD"))
    assert command[command.index("--port") + 1] == port
    group: Any = typer.main.get_command(app)
    serve = group.get_command(None, "serve")
    known = {option for parameter in serve.params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= known
    assert set(last("VOLUME").split()) == {"/app/models", "/app/gallery"}
    assert "/app/models/lora" in " ".join(rest for word, rest in DOCKERFILE if word == "RUN")


def test_what_is_copied_is_there_and_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [rest.split()[:-1] for word, rest in DOCKERFILE if word == "COPY" and "--from" not in rest]
    names = {name for some in copied for name in some}
    assert names == let_in
    assert all((ROOT / name).exists() for name in names)


def test_compose_fits_the_image() -> None:
    studio = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["studio"]
    assert studio["ports"] == [f"127.0.0.1:8080:{last('EXPOSE')}"]
    inside = {mount.rpartition(":")[2] for mount in studio["volumes"]}
    assert inside == {"/app/models", "/app/models/lora", "/app/gallery"}
    arguments = {rest.partition("=")[0] for word, rest in DOCKERFILE if word == "ARG"}
    assert set(studio["build"]["args"]) <= arguments


class Builder:
    """buildah without a daemon, on a base that mmdebstrap makes: no registry is asked for anything.

    Args:
        folder: for the images and the base.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._storage = [
            "--storage-driver",
            "vfs",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
        ]

    def __call__(self, *arguments: str, alone: bool = False) -> str:
        """Run a command of buildah, `alone` without a network, and return what it prints."""
        command = [*(["unshare", "--net"] if alone else []), "buildah", *self._storage, *arguments]
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def make_base(self) -> str:
        """Return the name of a small Debian."""
        archive = self.folder / "base.tar"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"',
             "bookworm", str(archive)],
            check=True,
        )  # fmt: skip
        container = self("from", "scratch")
        self("add", "--quiet", container, str(archive), "/")
        self("commit", "--quiet", "--rm", container, "localhost/base")
        return "localhost/base"

    def pip_mounts(self) -> list[str]:
        """Return the options that let pip in the container read what pip here is told of in its variables."""
        lines, options = ["[global]"], []
        for number, name in enumerate(("cert", "find-links")):
            path = os.environ.get(f"PIP_{name.upper().replace('-', '_')}", "")
            if path and Path(path).exists():
                lines.append(f"{name} = /run/pip-{number}")
                options += ["--volume", f"{path}:/run/pip-{number}:ro"]
        (self.folder / "pip.conf").write_text("\n".join(lines))
        return [*options, "--volume", f"{self.folder / 'pip.conf'}:/etc/pip.conf:ro"]


def size_of(folder: Path) -> int:
    files = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files)


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("buildah") and shutil.which("mmdebstrap")) or os.geteuid() != 0,
    reason="needs buildah, mmdebstrap (both in Debian) and their rights",
)
def test_the_image_is_built_and_paints_without_a_network(tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    base = builder.make_base()
    options = ["--layers=false", "--network", "host", "--build-arg", f"BASE={base}", *builder.pip_mounts()]
    builder("bud", *options, "--tag", "allaprima", str(ROOT))
    container = builder("from", "localhost/allaprima")
    prima = ["paint", "a cat on a rooftop", "--seed", "7", "-o", "/tmp/cat.png", "--json"]
    told = builder("run", container, "--", "prima", *prima, alone=True)
    assert json.loads(told.splitlines()[-1])["seeds"] == [7]
    assert builder("run", container, "--", "id", "-un") == "painter"
    root = Path(builder("mount", container))
    with Image.open(root / "tmp/cat.png") as image:
        assert image.size == (256, 256)
    assert read_request(root / "tmp/cat.png").prompt == "a cat on a rooftop"
    size = size_of(root)
    print(f"image: {size / 1e9:.2f} GB")
    assert size < MOST_BYTES

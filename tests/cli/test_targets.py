"""Where pictures go: named by the user, or after the prompt."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from allaprima.cli.targets import plan_targets
from allaprima.core.errors import OutputError, UserError
from allaprima.core.picture import Picture
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest

REQUESTS = [GenerationRequest(prompt="a cat", seed=seed) for seed in (1, 2)]
PICTURE = Picture(request=REQUESTS[0], width=2, height=1, rgb=bytes(6))


def test_a_folder_and_a_format_may_be_chosen(tmp_path: Path) -> None:
    targets = plan_targets(REQUESTS, tmp_path, "webp")
    assert [target.path for target in targets] == [tmp_path / "a-cat-1.webp", tmp_path / "a-cat-2.webp"]
    assert {(target.file_format, target.overwrite) for target in targets} == {("webp", False)}
    assert targets[0].write(PICTURE, ".step-1") == tmp_path / "a-cat-1.step-1.webp"


def test_only_a_file_that_is_named_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (target,) = plan_targets(REQUESTS[:1], None, None)
    assert (target.path, target.file_format) == (Path("a-cat-1.png"), "png")
    target.write(PICTURE)
    assert plan_targets(REQUESTS[:1], None, None)[0].path == Path("a-cat-1-2.png")
    (named,) = plan_targets(REQUESTS[:1], Path("a-cat-1.png"), None)
    assert named.overwrite
    assert named.write(PICTURE) == Path("a-cat-1.png")


def test_a_format_makes_any_name_a_picture(tmp_path: Path) -> None:
    for name in ("out", "out.v2", "out.tmp"):
        (target,) = plan_targets(REQUESTS[:1], tmp_path / name, "webp")
        assert (target.path, target.file_format) == (tmp_path / name, "webp")
        target.write(PICTURE)
        assert read_request(tmp_path / name) == REQUESTS[0]
    with pytest.raises(UserError, match="or no suffix"):
        plan_targets(REQUESTS[:1], tmp_path / "out.gif", "png")


def test_a_picture_flows_to_stdout_pipes_and_devices(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name in ("-", "/dev/stdout"):
        (target,) = plan_targets(REQUESTS[:1], Path(name), "jpeg" if name == "-" else None)
        assert target.is_stdout
        target.write(PICTURE)
        kind = "JPEG" if name == "-" else "PNG"
        with Image.open(io.BytesIO(capfdbinary.readouterr().out)) as image:
            assert image.format == kind
    os.mkfifo(tmp_path / "pipe")
    (target,) = plan_targets(REQUESTS[:1], tmp_path / "pipe", "webp")
    with ThreadPoolExecutor() as threads:
        read = threads.submit((tmp_path / "pipe").read_bytes)
        assert target.write(PICTURE) == tmp_path / "pipe"
        assert read.result(10)[8:12] == b"WEBP"
    (target,) = plan_targets(REQUESTS[:1], Path("/dev/null"), None)
    target.write(PICTURE)
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left"):
        plan_targets(REQUESTS[:1], Path("/dev/full"), None)[0].write(PICTURE)
    with pytest.raises(UserError, match=r"for 2 pictures"):
        plan_targets(REQUESTS, Path("-"), None)


def test_what_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"for 2 pictures; expected a folder, or one picture"):
        plan_targets(REQUESTS, tmp_path / "cat.png", None)
    with pytest.raises(UserError, match=r"expected one that ends in \.png"):
        plan_targets(REQUESTS[:1], tmp_path / "cat.gif", None)
    with pytest.raises(UserError, match="expected --format png, or another suffix"):
        plan_targets(REQUESTS[:1], tmp_path / "cat.png", "jpeg")

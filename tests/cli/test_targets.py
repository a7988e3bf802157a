"""Where pictures go: named by the user, or after the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.cli.targets import plan_targets
from allaprima.core.errors import UserError
from allaprima.core.picture import Picture
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


def test_what_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"for 2 pictures; expected a folder, or one picture"):
        plan_targets(REQUESTS, tmp_path / "cat.png", None)
    with pytest.raises(UserError, match=r"expected one that ends in \.png"):
        plan_targets(REQUESTS[:1], tmp_path / "cat.gif", None)
    with pytest.raises(UserError, match="expected --format png, or another suffix"):
        plan_targets(REQUESTS[:1], tmp_path / "cat.png", "jpeg")

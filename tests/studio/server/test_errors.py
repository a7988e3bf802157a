"""What answers say of the machine's folders: nothing, whatever those are called."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.studio.server.conftest import Served

from allaprima.core.errors import AllaPrimaError, BusyError, OutputError, PaintError, RequestError
from allaprima.studio.server import errors
from allaprima.studio.server.errors import hide_folder, hide_paths, to_problem


@pytest.fixture(autouse=True)
def _nothing_else_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_HIDDEN", set())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "/srv/my secret dir/lo ras/bad.safetensors is cut short; fetch it again",
            "bad.safetensors is cut short; fetch it again",
        ),
        ("cannot read '/srv/a, b/c: d/x y.json': no; expected", "cannot read 'x y.json': no; expected"),
        (
            "cannot read /a b/c.json: [Errno 2] No such file: '/a b/c.json'; expected",
            "cannot read c.json: [Errno 2] No such file: 'c.json'; expected",
        ),
        (
            "/a b/c.pt is a pickle; expected .safetensors: convert it with prima lora convert /a b/c.pt",
            "c.pt is a pickle; expected .safetensors: convert it with prima lora convert c.pt",
        ),
        ("got size 1x2; expected 256x256 and/or https://a.example/b/c", None),
        ("there is no such checkpoint; GET /sdapi lists them", None),
    ],
)
def test_folders_that_nobody_named_are_cut_off(text: str, told: str | None) -> None:
    assert hide_paths(text) == (text if told is None else told)


@pytest.mark.parametrize(
    "folder",
    ["my secret dir/lo ras", "/srv/a; b/my secret dir: x, y/lo ras", "../it's/lo ras", "secret/lo ras"],
)
def test_folders_that_are_named_are_cut_off_however_they_are_written(folder: str) -> None:
    hide_folder(Path(folder))
    for shown in (folder, str(Path(folder).absolute()), str(Path(folder).resolve())):
        assert hide_paths(f"{shown}/bad.safetensors is cut short") == "bad.safetensors is cut short"
        assert hide_paths(f"cannot read {f'{shown}/a/b.json'!r}: no") in (
            "cannot read 'b.json': no",
            'cannot read "b.json": no',
        )
        assert hide_paths(f"'x' is not in {shown}; expected one") == "'x' is not in lo ras; expected one"
    other = f"{Path(folder).parent}/sdxl/unet/config.json has no model"
    assert hide_paths(other) == "config.json has no model"


def test_words_that_look_like_a_folder_stay() -> None:
    hide_folder(Path("a"))
    hide_folder(Path("/"))
    hide_folder(Path())
    text = "got a LoRA and/or 3/4 of https://x.example/a/b in "
    assert hide_paths(f"{text}a/b") == f"{text}b"


def test_an_error_of_ours_is_an_id_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret path /home/me/weights is broken")

    monkeypatch.setattr(served.studio.gallery, "search", broken)
    with caplog.at_level(logging.INFO), served.client() as client:
        answer = client.get("/api/gallery")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]["id"] in caplog.text
    assert "the secret path" in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "cannot read /home/me/loras/ink.safetensors: it is empty",
            "cannot read ink.safetensors: it is empty",
        ),
        (
            "got LoRA 'x', which is not in /srv/models/lora; expected one",
            "got LoRA 'x', which is not in lora; expected one",
        ),
        ("got size 1x2; expected 256x256 and/or https://a.example/b", None),
    ],
)
def test_places_of_the_machine_are_not_told(text: str, told: str | None) -> None:
    assert hide_paths(text) == (text if told is None else told)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BusyError("8 jobs wait"), 429, "busy"),
        (RequestError("got 0 steps"), 400, "invalid_value"),
        (PaintError("the latents stopped being finite"), 500, "failed"),
        (OutputError("cannot write /srv/my pictures/a.png: the disk is full"), 507, None),
    ],
)
def test_an_error_of_ours_becomes_a_status(error: AllaPrimaError, status: int, code: str | None) -> None:
    problem = to_problem(error)
    assert problem.status == status
    assert code is None or problem.code == code
    assert "my pictures" not in problem.message
    assert (problem.headers or {}).get("retry-after") == ("2" if status == 429 else None)


def test_a_body_that_is_no_json_blames_no_field(served: Served) -> None:
    with served.client(content_type="application/json") as client:
        error = client.post("/v1/images/generations", content=b'{"prompt": ').json()["error"]
    assert (error["param"], error["message"]) == (None, "the body is no JSON; expected an object")

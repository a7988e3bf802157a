"""Files called as Chinese users call them, through every door: LoRA, base, folders, pictures and prompts."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import openai
import pytest
from PIL import Image
from tests.studio.page.running import RunningStudio, write_loras
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_vignette import write_tiny_vignette
from websockets.sync.client import connect

from allaprima.cli.app import run
from allaprima.core.picture_files import import_request
from allaprima.core.report_place import report_path
from allaprima.core.request import LoraUse
from allaprima.paint.painter import Painter
from allaprima.studio.engine.messages import MAX_LIVE_STEPS
from allaprima.studio.server.live_messages import unpack_frame

PROMPT = "雪山下的一只狐狸"
NAME = "水墨 国风·v2"
"""With a space and a sign that file names often have."""
WORN = [{"name": NAME, "weight": 0.5}]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights, LoRAs and a base under Chinese names, and nothing else."""
    home = tmp_path_factory.mktemp("家") / "我的 画室"
    weights = write_tiny_vignette(home / "权重")
    write_loras(home / "画风" / "古风", weights, {NAME: (40, 40, 40)})
    write_tiny_qwen(home / "模型" / "diffusers" / "底模")
    return home


@pytest.fixture(autouse=True)
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.fixture(scope="module")
def studio(home: Path) -> Iterator[RunningStudio]:
    made = RunningStudio(folder=home / "画廊", weights=home / "权重", loras=home / "画风")
    with made.open() as opened:
        opened.reports = home / "报告"
        yield made


@pytest.fixture
def client(studio: RunningStudio) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=studio.url, trust_env=False, timeout=60) as opened:
        yield opened


def prima(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run a command that succeeds and return its line of JSON."""
    status = run([*words, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    line: dict[str, Any] = json.loads(out.splitlines()[-1])
    return line


OURS = ("--weights", "权重", "--lora-dir", "画风", "--steps", "2")


def test_the_command_paints_shows_and_repaints(capsys: pytest.CaptureFixture[str]) -> None:
    Path("图片").mkdir(exist_ok=True)
    line = prima(
        capsys, "paint", PROMPT, *OURS, "--lora", f"{NAME}:0.5", "-o", "图片/狐狸.png", "--seed", "7"
    )
    assert line["paths"] == ["图片/狐狸.png"]
    assert [(one["name"], one["weight"]) for one in line["loras"]] == [(NAME, 0.5)]
    told = prima(capsys, "show", "图片/狐狸.png")
    assert (told["request"]["prompt"], told["request"]["loras"]) == (PROMPT, WORN)
    prima(capsys, "paint", "--from", "图片/狐狸.png", *OURS[:4], "-o", "图片/又一只.png")
    with Image.open("图片/狐狸.png") as first, Image.open("图片/又一只.png") as second:
        assert first.tobytes() == second.tobytes()


def test_a_picture_is_named_after_its_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    line = prima(capsys, "paint", f"{PROMPT} <lora:{NAME}:0.5>", *OURS, "--seed", "8", "--format", "jpeg")
    assert line["paths"] == [f"{PROMPT}-8.jpg"]
    imported = import_request(Path(f"{PROMPT}-8.jpg"))
    assert (imported.request.prompt, imported.request.loras) == (PROMPT, (LoraUse(name=NAME, weight=0.5),))


def test_lora_commands(capsys: pytest.CaptureFixture[str]) -> None:
    listed = prima(capsys, "lora", "list", "--lora-dir", "画风")
    assert NAME in [one["name"] for one in listed["loras"]]
    inspected = prima(capsys, "lora", "inspect", NAME, "--lora-dir", "画风")
    assert inspected["path"].endswith(f"画风/古风/{NAME}.safetensors")


def test_a_base_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    line = prima(
        capsys,
        "paint",
        PROMPT,
        "--base",
        "底模",
        "--models-dir",
        "模型",
        "--steps",
        "1",
        "--size",
        "64x64",
        "-o",
        "底.png",
    )
    assert line["request"]["base"] == "底模"
    assert import_request(Path("底.png")).request.base == "底模"


def test_python() -> None:
    with Painter.load(folder=Path("权重"), lora_dir=Path("画风")) as painter:
        picture = painter(PROMPT, loras={NAME: 0.5}, steps=1, seed=1)
        assert [lora.name for lora in picture.loras] == [NAME]
        assert picture.save(Path("蟒蛇.webp")).name == "蟒蛇.webp"
    assert import_request(Path("蟒蛇.webp")).request == picture.request


@pytest.mark.parametrize("prompt", [PROMPT, f"{PROMPT} <lora:{NAME}:0.5>"])
def test_openai(studio: RunningStudio, prompt: str) -> None:
    asked = {} if "<" in prompt else {"loras": WORN}
    with openai.OpenAI(base_url=f"{studio.url}/v1", api_key="none", max_retries=0, timeout=60) as opened:
        answer = opened.images.generate(
            prompt=prompt, model="vignette", response_format="b64_json", size="256x256",
            extra_body={"steps": 1, "seed": 3, **asked},
        )  # fmt: skip
    assert answer.data
    check_file(base64.b64decode(answer.data[0].b64_json or ""))


def test_a1111(client: httpx2.Client) -> None:
    assert NAME in [one["name"] for one in client.get("/sdapi/v1/loras").json()]
    body = {"prompt": f"{PROMPT} <lora:{NAME}:0.5>", "steps": 1, "width": 256, "height": 256, "seed": 4}
    answer = client.post("/sdapi/v1/txt2img", json=body).json()
    check_file(base64.b64decode(answer["images"][0]))
    assert f"<lora:{NAME}:0.5>" in json.loads(answer["info"])["infotexts"][0]
    told = client.post("/sdapi/v1/png-info", json={"image": answer["images"][0]}).json()
    assert PROMPT in told["info"]


def test_live(studio: RunningStudio) -> None:
    settings = {"width": 256, "height": 256, "steps": MAX_LIVE_STEPS, "loras": WORN}
    with connect(studio.url.replace("http", "ws") + "/live", proxy=None) as socket:
        socket.send(json.dumps({"sequence": 1, "prompt": PROMPT, "settings": settings}))
        final = False
        while not final:
            message = socket.recv(timeout=60)
            assert isinstance(message, bytes), message
            header, jpeg = unpack_frame(message)
            final = header["final"]
    assert header["prompt"] == PROMPT
    with Image.open(io.BytesIO(jpeg)) as frame:
        assert frame.size == (256, 256)


def test_jobs_the_gallery_and_exports(client: httpx2.Client) -> None:
    request = {"prompt": PROMPT, "steps": 1, "guidance": 1.0, "seed": 5, "loras": WORN}
    events = client.post("/api/jobs", json={"request": request}).text
    assert "event: done" in events
    found = client.get("/api/gallery", params={"query": "狐狸"}).json()["pictures"]
    (entry,) = [one for one in found if one["request"]["seed"] == 5]
    assert (entry["request"]["prompt"], entry["request"]["loras"]) == (PROMPT, WORN)
    for ending in ("png", "jpeg", "webp"):
        check_file(client.get(f"/pictures/{entry['id']}.{ending}").content)


def test_the_shelf_its_previews_and_reports(client: httpx2.Client, home: Path) -> None:
    (home / "报告").mkdir(exist_ok=True)
    report_path(home / "报告", NAME).write_text("<h1>水墨</h1>", encoding="utf-8")
    (card,) = [one for one in client.get("/api/loras").json()["loras"] if one["name"] == NAME]
    assert card["preview"]
    assert card["report"]
    with Image.open(io.BytesIO(client.get("/api/loras/preview", params={"name": NAME}).content)) as preview:
        assert preview.getpixel((0, 0)) == (40, 40, 40)
    assert "水墨" in client.get(f"/reports/{quote(NAME)}").text


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    line = prima(capsys, "report", NAME, *OURS[:4], "--prompts", "9", "-o", "报告单")
    assert line["name"] == NAME
    assert Path(line["paths"]["html"]) == report_path(Path("报告单"), NAME)
    assert f"<title>{NAME}" in Path(line["paths"]["html"]).read_text(encoding="utf-8")


def test_rate(capsys: pytest.CaptureFixture[str]) -> None:
    Path("词.txt").write_text(f"{PROMPT}\n", encoding="utf-8")
    status = run([
        "rate", "steps:1", f"steps:1,lora:{NAME}:0.5", *OURS[:4], "--prompts", "词.txt", "-o", "评分", "--results",
    ])  # fmt: skip
    assert status == 2  # no vote is given yet
    assert "no vote in 评分/" in capsys.readouterr().err
    assert len(list(Path("评分").rglob(f"1-{PROMPT}.png"))) == 2


def check_file(data: bytes) -> None:
    """Check that a picture carries prompt and LoRA, whatever its format."""
    path = Path("拿到的.png")
    path.write_bytes(data)
    imported = import_request(path)
    assert (imported.request.prompt, imported.request.loras) == (PROMPT, (LoraUse(name=NAME, weight=0.5),))

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.errors import LoraError, RequestError
from allaprima.core.events import Finished
from allaprima.core.model_hash import ModelHash
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.picture_files import read_infotext, read_request
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.lora.files.tensor_hash import tensor_hash
from allaprima.paint.painter import Painter

PLAIN = GenerationRequest(prompt="cat", steps=2, guidance=1.0, seed=3)
INK = replace(PLAIN, loras=(LoraUse(name="ink", weight=0.7),))
BOTH = replace(PLAIN, loras=(LoraUse(name="ink"), LoraUse(name="chalk", weight=-0.5)))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loras")
    for seed, name in enumerate(("ink", "chalk")):
        draw = torch.Generator().manual_seed(seed)
        tensors = {}
        for layer in ("to_q", "to_v", "to_out.0"):
            key = f"transformer.transformer_blocks.0.attn.{layer}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(4, 32, generator=draw)
            tensors[f"{key}.lora_B.weight"] = torch.randn(32, 4, generator=draw)
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def painter(weights: Path, loras: Path) -> Painter:
    return Painter.load(folder=weights, lora_dir=loras, device="cpu")


def furthest(one: Picture, other: Picture) -> int:
    return max(abs(a - b) for a, b in zip(one.rgb, other.rgb, strict=True))


@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_a_file_says_by_which_hashes_sites_know_its_loras(
    painter: Painter, loras: Path, tmp_path: Path, file_format: FileFormat
) -> None:
    plain, picture = painter.paint_batch([PLAIN, BOTH])
    file = tmp_path / f"cat.{file_format}"
    file.write_bytes(picture.encode(file_format))
    ink, chalk = (tensor_hash(loras / f"{name}.safetensors") for name in ("ink", "chalk"))
    assert f'Lora hashes: "ink: {ink}, chalk: {chalk}"' in picture.infotext
    assert f'Lora hashes: "ink: {ink}, chalk: {chalk}"' in (read_infotext(BytesIO(file.read_bytes())) or "")
    assert read_request(file) == BOTH
    assert "hashes" not in plain.infotext


def test_a_file_says_by_which_hash_sites_know_its_base(painter: Painter, tmp_path: Path) -> None:
    (tmp_path / "xl.safetensors").write_bytes(b"weights")
    known = ModelHash(tmp_path / "xl.safetensors", kept=tmp_path / "hashes.json")
    picture = replace(painter, model_hash=known).paint(INK)
    assert f"Model hash: {hashlib.sha256(b'weights').hexdigest()[:10]}, Lora hashes: " in picture.infotext
    assert "Model hash" not in painter.paint(INK).infotext


def test_a_picture_depends_on_its_own_loras_alone(painter: Painter) -> None:
    requests = [PLAIN, INK, BOTH, PLAIN, replace(BOTH, loras=BOTH.loras[::-1]), INK]
    pictures = painter.paint_batch(requests)
    assert furthest(pictures[0], pictures[1]) > 3
    assert furthest(pictures[1], pictures[2]) > 3
    assert [pictures[i].rgb for i in (3, 4, 5)] == [pictures[i].rgb for i in (0, 2, 1)]
    silent = replace(PLAIN, loras=(LoraUse(name="ink", weight=0.0),))
    assert painter.paint(silent).rgb == pictures[0].rgb


def test_pictures_painted_in_turns_keep_their_loras(painter: Painter) -> None:
    apart = [painter.paint(request).rgb for request in (INK, PLAIN)]
    turns = zip(painter.events(INK), painter.events(PLAIN), strict=True)
    last = next(pair for pair in turns if isinstance(pair[0], Finished))
    assert [event.pictures[0].rgb for event in last if isinstance(event, Finished)] == apart


def test_idle_time_changes_a_picture_by_rounding_only(painter: Painter) -> None:
    plain, ink = painter.paint_batch([PLAIN, INK])
    while not painter.idle(budget_s=0.0):
        assert painter.paint(INK).rgb == ink.rgb
    assert painter.lora_manager is not None
    assert painter.lora_manager.rack.merged
    merged = painter.paint(INK)
    assert furthest(merged, ink) <= 1
    assert painter.lora_manager.rack.merged
    assert painter.paint(PLAIN).rgb == plain.rgb
    # The last merge was kept: it is back at once, and the picture with it.
    assert painter.paint(INK).rgb == merged.rgb
    assert painter.lora_manager.rack.merged
    painter.lora_manager.rack.unmerge()
    assert painter.paint(INK).rgb == ink.rgb


def test_a_lora_that_is_not_there_is_told_before_anything_is_painted(painter: Painter) -> None:
    bad = replace(PLAIN, loras=(LoraUse(name="pastel"),))
    with pytest.raises(LoraError, match=r"'pastel', which is not in .*; expected one of chalk, ink"):
        painter.events(INK, bad)
    bare = Painter(base=SteadyBase())
    assert bare.idle()
    for refused in (lambda: bare.events(INK), lambda: bare.apply_loras(INK.loras)):
        with pytest.raises(RequestError, match="no folder of LoRAs is open"):
            refused()


def test_a_lora_says_how_to_paint_with_it(
    weights: Path, loras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with safe_open(loras / "ink.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    told = {"allaprima.steps": "2", "allaprima.guidance": "1.0"}
    save_file(tensors, tmp_path / "quick.safetensors", told)
    save_file(tensors, tmp_path / "plain.safetensors")
    painter = Painter.load(folder=weights, lora_dir=tmp_path, device="cpu")
    quick, plain = LoraUse(name="quick"), LoraUse(name="plain")
    both = painter.request(prompt="cat", loras=(plain, quick))
    assert (both.steps, both.guidance, both.width) == (2, 1.0, 256)
    chosen = painter.request(prompt="cat", loras=(quick,), steps=7, guidance=3.0)
    assert (chosen.steps, chosen.guidance) == (7, 3.0)
    for unheard in ((plain,), (), (replace(quick, weight=0.0),)):
        assert painter.request(prompt="cat", loras=unheard).steps == painter.base.defaults.steps
    assert painter.remarks(both) == ()
    assert "guidance 3 a picture takes twice the time" in painter.remarks(chosen)[0]
    against = replace(both, negative_prompt="rain")
    assert "the negative prompt does nothing, for the LoRA 'quick'" in painter.remarks(against)[0]
    faint = painter.remarks(replace(against, guidance=0.5))
    assert any(remark.startswith("guidance 0.5 is none") for remark in faint)
    assert sum("the negative prompt does nothing" in remark for remark in faint) == 1
    assert painter.remarks(replace(against, loras=(plain,))) == (
        "the negative prompt does nothing, for there is no guidance",
    )
    assert Painter(base=SteadyBase()).remarks(both) == ()
    with pytest.raises(LoraError, match="'pastel', which is not in"):
        painter.request(prompt="cat", loras=(LoraUse(name="pastel"),))

    output = tmp_path / "cat.png"
    words = ["paint", "cat", "--lora", "quick", "--negative", "rain", "-o", str(output)]
    assert run([*words, "--weights", str(weights), "--lora-dir", str(tmp_path)]) == 0
    assert read_request(output).steps == 2
    assert "prima: the negative prompt does nothing" in capsys.readouterr().err


def test_the_command_wears_what_it_is_told_and_repaints_from_the_file(
    weights: Path, loras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["paint", "--weights", str(weights), "--lora-dir", str(loras)]
    first, again, other = (str(tmp_path / f"{name}.png") for name in ("first", "again", "other"))
    words = [*common, "cat", "--steps", "2", "--seed", "3", "--guidance", "1"]
    assert run([*words, "--lora", "chalk:-0.5", "--lora", "ink", "-o", first, "--json"]) == 0
    painted = json.loads(capsys.readouterr().out.splitlines()[-1])["loras"]
    assert [(lora["name"], lora["weight"], lora["parts"]) for lora in painted] == [
        ("chalk", -0.5, ["transformer"]),
        ("ink", 1.0, ["transformer"]),
    ]
    assert painted[0]["hash"] == tensor_hash(loras / "chalk.safetensors")
    assert run([*common, "--from", first, "-o", again]) == 0
    assert run([*words, "-o", other]) == 0
    assert set(read_request(Path(first)).loras) == set(BOTH.loras)
    pictures = [Path(path).read_bytes() for path in (first, again, other)]
    assert pictures[0] == pictures[1] != pictures[2]
    assert run([*words, "--lora", "pastel"]) == 2
    assert "pastel" in capsys.readouterr().err


def test_a_lora_is_painted_with_at_the_levels_it_was_trained_at(
    weights: Path, loras: Path, tmp_path: Path
) -> None:
    with safe_open(loras / "ink.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    for name, levels in (("early", "[1.0, 0.9, 0.0]"), ("late", "[1.0, 0.2, 0.0]")):
        save_file(
            tensors, tmp_path / f"{name}.safetensors", {"allaprima.sigmas": levels, "allaprima.steps": "2"}
        )
    painter = Painter.load(folder=weights, lora_dir=tmp_path, device="cpu")
    early = painter.request(prompt="cat", loras=(LoraUse(name="early"),), guidance=1.0)
    late = replace(early, loras=(LoraUse(name="late"),))
    assert early.steps == 2
    assert furthest(painter.paint(early), painter.paint(late)) > 0
    three = replace(early, steps=3)
    assert painter.paint(three).rgb == painter.paint(replace(late, steps=3)).rgb
    assert painter.remarks(early) == ()
    assert "trained to paint in 2 steps; 3 are asked for" in painter.remarks(three)[0]


def test_keys_that_match_nothing_are_counted_and_named(
    weights: Path, loras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with safe_open(loras / "ink.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    for part, shape in (("A", (4, 32)), ("B", (32, 4))):
        tensors[f"transformer.transformer_blocks.77.attn.to_q.lora_{part}.weight"] = torch.ones(shape)
    save_file(tensors, tmp_path / "extra.safetensors")
    words = ["paint", "cat", "--lora", "extra", "--steps", "1", "-o", str(tmp_path / "cat.png")]
    assert run([*words, "--weights", str(weights), "--lora-dir", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert (
        "2 keys of the LoRA 'extra' match no layer of the base and do nothing: transformer.transformer_blocks.77"
        in told
    )


def test_nonsense_in_a_files_metadata_is_told_with_the_files_name(
    weights: Path, loras: Path, tmp_path: Path
) -> None:
    with safe_open(loras / "ink.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    save_file(tensors, tmp_path / "broken.safetensors", {"allaprima.sigmas": "[1,"})
    painter = Painter.load(folder=weights, lora_dir=tmp_path, device="cpu")
    with pytest.raises(LoraError, match=r"broken\.safetensors: got allaprima\.sigmas"):
        painter.request(prompt="cat", loras=(LoraUse(name="broken"),))

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.overflowing import enlarge, load, painter_of, request_for, write_base
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette
from torch import Tensor

from allaprima.cli.app import run
from allaprima.core.errors import PaintError
from allaprima.core.events import Finished, Step
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Rescues
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.contract.base import Base, Stage, TextStates, clamp_pixels
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.manager import LoraManager
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow
from allaprima.paint.pipeline.overflow_guard import OverflowGuard, are_blank, are_degenerate, is_sound
from allaprima.paint.pipeline.prompt_cache import PromptCache

FP16, BF16, FP32 = torch.float16, torch.bfloat16, torch.float32
FAMILIES = ["vignette", "qwen-image", "sdxl"]
CASES: list[tuple[str, Stage]] = [
    ("vignette", "predict"), ("vignette", "decode"), ("qwen-image", "text"), ("qwen-image", "predict"),
    ("qwen-image", "decode"), ("sdxl", "text"), ("sdxl", "predict"),
]  # fmt: skip
COUNT: dict[Stage, str] = {"text": "texts", "predict": "steps", "decode": "decodes"}


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bases")
    return {family: write_base(family, folder / family) for family in FAMILIES}


def memory_of(base: Base) -> list[tuple[int, torch.dtype, Tensor]]:
    networks = [network for networks in base.stages().values() for network in networks]
    tensors = [tensor for network in networks for tensor in network.state_dict().values()]
    return [(tensor.data_ptr(), tensor.dtype, tensor.clone()) for tensor in tensors]


def assert_untouched(base: Base, before: list[tuple[int, torch.dtype, Tensor]]) -> None:
    for (at, dtype, values), (at_first, dtype_first, first) in zip(memory_of(base), before, strict=True):
        assert (at, dtype) == (at_first, dtype_first)
        assert torch.equal(values, first)


@pytest.mark.parametrize(("family", "stage"), CASES)
def test_fp16_fails_alone_and_not_under_guard(specs: dict[str, str], family: str, stage: Stage) -> None:
    base = load(family, specs[family], FP16, (stage,))
    request = request_for(base)
    with pytest.raises(PaintError, match="stopped being finite"):
        painter_of(base, guarded=False).paint(request)
    before = memory_of(base)
    painter = painter_of(base)
    picture = painter.paint(request)
    assert_untouched(base, before)
    assert picture.rescues.counts()[COUNT[stage]] == 1
    assert picture.rescues.steps <= 1
    assert painter.paint(request) == picture
    # From its first prediction on it is the picture that a wide network paints.
    wide: dict[Stage, torch.dtype] = {stage: FP32} | ({"predict": FP32} if picture.rescues.steps else {})
    expected = painter_of(load(family, specs[family], FP16, (stage,), wide)).paint(request)
    assert picture.rgb == expected.rgb
    assert expected.rescues == Rescues()


@pytest.mark.parametrize("dtype", [BF16, FP32])
@pytest.mark.parametrize(("family", "stage"), CASES)
def test_formats_of_larger_range_need_no_guard(
    specs: dict[str, str], family: str, stage: Stage, dtype: torch.dtype
) -> None:
    base = load(family, specs[family], dtype, (stage,))
    request = request_for(base, steps=1)
    picture = painter_of(base).paint(request)
    assert picture.rescues == Rescues()
    if family == "vignette":
        assert painter_of(base, guarded=False).paint(request) == picture


def test_guidance_and_shared_passes_are_guarded_too(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16, ("predict",))
    requests = [request_for(base, guidance=3.0, negative_prompt="dog", seed=seed) for seed in (1, 2)]
    pictures = Painter(base=base, pictures_per_pass=2).paint_batch(requests)
    assert [picture.rescues for picture in pictures] == [Rescues(steps=1)] * 2


def test_it_resumes_from_the_last_good_latents(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16)
    denoiser = base.stages()["predict"][0]
    seen: list[torch.dtype] = []

    def strike(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(args[0].dtype)
        return (args[0] * 1e5, *args[1:]) if len(seen) >= 3 else args

    request = request_for(base, steps=4)
    with denoiser.register_forward_pre_hook(strike):
        events = list(painter_of(base).events(request))
    assert seen == [FP16, FP16, FP16, FP32, FP32]
    assert [event.index for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    picture = cast("Finished", events[-1]).pictures[0]
    assert picture.rescues == Rescues(steps=1)

    seen[:] = [FP16] * 2  # the same way by hand: two steps as they were, two wide ones
    latents = torch.inference_mode()(base.noise)([request.seed], 256, 256)
    text = base.encode_text([request.prompt])
    schedule = base.schedule(4, 256, 256)
    wide = load("vignette", specs["vignette"], FP16, (), {"predict": FP32})
    for step, (sigma, after) in enumerate(zip(schedule.sigmas, schedule.sigmas[1:], strict=False)):
        at, model = torch.tensor([sigma]), wide if step >= 2 else base
        shown = latents * 1e5 if step >= 2 else latents
        with torch.inference_mode():
            latents = latents + (after - sigma) * model.predict(shown, at, text).float()
    with torch.inference_mode():
        expected = base.decode(latents)[0].mul(255).round().to(torch.uint8).permute(1, 2, 0)
    assert picture.rgb == expected.contiguous().numpy().tobytes()


def test_what_stays_bad_is_an_error_and_leaves_the_weights_alone(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16)
    bias = base.stages()["predict"][0].get_parameter("transformer.proj_out.bias")
    bias.data.fill_(torch.inf)
    before = memory_of(base)
    with pytest.raises(PaintError, match="latents of the picture stopped being finite"):
        painter_of(base).paint(request_for(base))
    assert_untouched(base, before)


def test_what_is_offloaded_layer_by_layer_is_an_error(specs: dict[str, str]) -> None:
    base = load("qwen-image", specs["qwen-image"], FP16, ("predict",))
    transformer: Any = base.stages()["predict"][0]
    transformer.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")
    with pytest.raises(PaintError, match="latents of the picture stopped being finite"):
        painter_of(base).paint(request_for(base))


def test_a_cancelled_rescue_leaves_the_weights_alone(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16, ("predict",))
    before = memory_of(base)
    events = cast("Generator[object]", painter_of(base).events(request_for(base)))
    next(events), next(events)
    assert_untouched(base, before)
    events.close()
    assert_untouched(base, before)


def test_previews_and_the_picture_painted_over_are_rescued(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16, ("decode",))
    picture = painter_of(base).paint(request_for(base))
    events = list(painter_of(base).events(request_for(base), previews=True))
    finished = cast("Finished", events[-1]).pictures[0]
    assert finished.rgb == picture.rgb
    assert finished.rescues == Rescues(decodes=3)
    base = load("vignette", specs["vignette"], FP16)
    enlarge(base.stages()["decode"][0], "encoder.1.first")
    under = InitImage(width=256, height=256, rgb=picture.rgb, strength=0.5)
    over = list(painter_of(base).events(request_for(base), init_image=under))[-1]
    assert cast("Finished", over).pictures[0].rescues == Rescues(decodes=1)


def test_live_passes_and_kept_prompts_are_rescued(specs: dict[str, str]) -> None:
    base = load("qwen-image", specs["qwen-image"], FP16, ("text", "predict", "decode"))
    cache = PromptCache(base, 2**20)
    rows = [
        DenoiseRow(prompt=encoded.text, seed=seed)
        for seed, encoded in enumerate(cache.encode(["cat", "dog"]))
    ]
    assert cache.rescues == Rescues(texts=1)
    guard, schedule = OverflowGuard(base, strict=False), base.schedule(2, 64, 64)
    shared = DenoiseBatch(guard, rows, width=64, height=64, schedule=schedule, guidance=1.0)
    assert [shared.step().index, shared.step().index] == [1, 2]
    assert torch.isfinite(shared.decode([0, 1])).all()
    assert shared.rescues == Rescues(steps=1, decodes=1)


def test_loras_are_worn_in_the_wider_format_too(specs: dict[str, str], tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    key = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {
        f"{key}.lora_A.weight": torch.randn(16, 32, generator=draw).half().float(),
        f"{key}.lora_B.weight": torch.randn(32, 16, generator=draw).half().float(),
    }
    save_file(tensors, tmp_path / "ink.safetensors")

    def painter(other: dict[Stage, torch.dtype]) -> Painter:
        base = load("vignette", specs["vignette"], FP16, ("predict",), other)
        return Painter(
            base=base, lora_manager=LoraManager(base.modules(), LoraFolder(tmp_path), family="vignette")
        )

    plain = GenerationRequest(prompt="cat", steps=3, guidance=1.0)
    inked = replace(plain, loras=(LoraUse(name="ink", weight=0.5),))
    wide = painter({"predict": FP32})
    expected = [wide.paint(request).rgb for request in (plain, inked)]
    assert expected[0] != expected[1]
    narrow = painter({})
    # In turns, so that each step finds the other picture's LoRAs on.
    *_, last = zip(narrow.events(plain), narrow.events(inked), strict=True)
    pictures = [cast("Finished", event).pictures[0] for event in last]
    assert [picture.rgb for picture in pictures] == expected
    assert [picture.rescues for picture in pictures] == [Rescues(steps=1)] * 2
    before = narrow.paint(plain).rgb
    while not narrow.idle():
        pass
    assert narrow.paint(plain).rgb == before


@dataclass
class DarkBase(SteadyBase):
    """Whatever is asked for, it goes to `level` all over, but for a share of the noise."""

    level: float = -9.0
    left: float = 0.01

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        del text
        return (latents - self.level) / t[:, None, None, None] * (1 - self.left)

    def decode(self, latents: Tensor) -> Tensor:
        return torch.nn.functional.interpolate((0.5 + latents / 8).clamp(0, 1), scale_factor=8)


@pytest.mark.parametrize("level", [-9.0, 9.0, 0.001])
def test_a_dark_or_flat_picture_is_a_picture(level: float) -> None:
    request = GenerationRequest(prompt="black", steps=1, guidance=1.0)
    picture = Painter(base=DarkBase(level=level)).paint(request)
    assert max(picture.rgb) - min(picture.rgb) <= 3
    assert picture.rescues == Rescues()


@pytest.mark.parametrize("level", [-9.0, 0.0])
def test_a_flat_picture_from_flat_latents_is_an_error(level: float) -> None:
    request = GenerationRequest(prompt="black", steps=1, guidance=1.0)
    with pytest.raises(PaintError, match="the picture is of one colour, and so are the numbers"):
        Painter(base=DarkBase(level=level, left=0.0)).paint(request)


def test_a_dark_picture_in_fp16_is_looked_at_twice_and_kept(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16)
    last = base.stages()["decode"][0].get_submodule("decoder.6")
    last.get_parameter("weight").data.zero_()
    last.get_parameter("bias").data.fill_(-1.0)
    calls: list[torch.dtype] = []
    with last.register_forward_pre_hook(lambda _, args: calls.append(args[0].dtype)):
        picture = painter_of(base).paint(request_for(base))
    assert max(picture.rgb) == 0
    assert calls == [FP16, FP32]
    assert picture.rescues == Rescues()


def test_a_picture_that_is_black_only_in_fp16_is_rescued(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16)
    last = base.stages()["decode"][0].get_submodule("decoder.6")
    last.register_forward_hook(
        lambda *call: call[2] if call[2].dtype == FP32 else torch.full_like(call[2], -2.0)
    )
    picture = painter_of(base).paint(request_for(base))
    assert max(picture.rgb) > 100
    assert picture.rescues == Rescues(decodes=1)


def test_what_is_rescued_is_told_in_the_file(tmp_path: Path, specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP16, ("predict", "decode"))
    picture = painter_of(base).paint(request_for(base))
    path = tmp_path / "cat.png"
    path.write_bytes(picture.encode())
    with Image.open(path) as image:
        texts = image.info
    assert texts["parameters"].endswith("Rescued steps: 1, Rescued decodes: 1")
    assert json.loads(texts["allaprima"])["rescues"] == {"steps": 1, "decodes": 1}
    assert read_request(path) == picture.request
    formats: tuple[FileFormat, ...] = ("jpeg", "webp")
    for file_format in formats:
        path = tmp_path / f"cat.{file_format}"
        path.write_bytes(picture.encode(file_format))
        assert b"R\0e\0s\0c\0u\0e\0d" in path.read_bytes()
        assert read_request(path) == picture.request
    plain = replace(picture, rescues=Rescues())
    assert b"escue" not in plain.encode()


def test_a_picture_that_stays_bad_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_tiny_vignette(tmp_path / "weights", broken=True)
    for precision in ("auto", "fp32", "fp16"):
        words = ["paint", "cat", "--weights", str(weights), "--steps", "2", "--precision", precision]
        assert run([*words, "-o", str(tmp_path / "cat.png")]) == 1
        assert "stopped being finite" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))
    assert run(["paint", "cat", "--precision", "fp8"]) == 2


def test_the_format_that_is_asked_for_is_the_one_computed_in(tmp_path: Path) -> None:
    weights = write_tiny_vignette(tmp_path)
    for precision, dtype in (("fp16", FP16), ("bf16", BF16), ("fp32", FP32)):
        base = Painter.load(folder=weights, device="cpu", precision=precision).base
        assert {next(network.parameters()).dtype for network in base.stages()["predict"]} == {dtype}
        assert {next(network.parameters()).dtype for network in base.stages()["decode"]} == {dtype}


def test_infinities_do_not_hide_behind_the_clamp() -> None:
    pixels = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.5, 0.25, 1.5])
    clamped = clamp_pixels(pixels)
    assert clamped[:3].isnan().all()
    assert clamped[3:].tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 6e4])
def test_one_bad_value_among_many_is_seen(value: float) -> None:
    values = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels = values.sigmoid()[:, :3]
    assert is_sound(values)
    assert is_sound(values.half())
    assert not any(are_blank(pixels))
    assert are_degenerate(values) == [False, False]
    values[1, 2, 3, 4] = value
    pixels[1, 2, 3, 4] = value
    assert is_sound(values) == (value == 6e4 and float(values[1].std()) < 1000)
    assert are_blank(pixels) == [False, value != 6e4]
    assert are_degenerate(values)[1] or value == 6e4


def test_rows_without_spread_are_unsound_and_degenerate() -> None:
    flat = torch.full((1, 4, 8, 8), 3.0)
    assert not is_sound(flat)
    assert are_degenerate(flat) == [True]
    assert are_degenerate(torch.arange(4.0)[None, :, None, None].expand(1, 4, 8, 8)) == [True]
    assert are_degenerate(2000 * torch.randn(1, 4, 8, 8)) == [True]
    assert (
        are_blank(torch.tensor([0.0, 0.5, 3 / 255, 1.0])[:, None, None, None].expand(4, 3, 2, 2))
        == [True] * 4
    )


def test_a_guarded_base_is_a_base(specs: dict[str, str]) -> None:
    base = load("vignette", specs["vignette"], FP32)
    guarded: Base = OverflowGuard(base)
    assert isinstance(guarded, Base)
    names: Sequence[str] = ("name", "family", "prediction", "guidance_rule", "defaults")
    assert [getattr(guarded, name) for name in names] == [getattr(base, name) for name in names]
    assert guarded.modules() == base.modules()

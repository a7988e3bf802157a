"""First-block caching on tiny networks of the real classes, against none and against stock diffusers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig
from safetensors.torch import save_file
from tests.overflowing import enlarge
from tests.tiny_klein import write_tiny_klein
from tests.tiny_qwen import make_tiny_pipeline, write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_z_image import write_tiny_z_image
from torch import nn

from allaprima.cli.app import run
from allaprima.core.errors import RequestError
from allaprima.core.events import Finished
from allaprima.core.picture import Picture
from allaprima.core.picture_files import import_request, read_infotext
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.memory import offload
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.sampling.guidance import needs_negative

CPU = torch.device("cpu")
STEPS = 20
LARGE = "first-block:0.4"
LARGEST = "first-block:1"
"""Random networks change more from step to step than trained ones, and those of klein and Z-Image most."""
REQUESTS: dict[str, dict[str, Any]] = {
    "guidance, words of two lengths": {"guidance": 4.0, "negative_prompt": "rain"},
    "guidance, words of one length": {"guidance": 4.0, "negative_prompt": "dog food"},
    "no guidance": {"guidance": 1.0},
}


def write_klein(folder: Path) -> Path:
    return write_tiny_klein(folder, is_distilled=False)


WRITERS = {"qwen-image": write_tiny_qwen, "flux2-klein": write_klein, "z-image": write_tiny_z_image}


@pytest.fixture(scope="module", params=WRITERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_qwen(tmp_path_factory.mktemp("models") / "base")


def load(folder: Path, cache: str | None = None, **options: Any) -> Painter:
    return Painter.load(str(folder), device="cpu", precision="fp32", cache=cache, **options)


def request_of(prompt: str = "cat food", **changes: Any) -> GenerationRequest:
    given = {"base": "base", "steps": STEPS, "seed": 7, "width": 64, "height": 64, "guidance": 1.0, **changes}
    return GenerationRequest(prompt=prompt, **given)


def network_of(painter: Painter) -> Any:
    return painter.base.stages()["predict"][0]


def inner(block: nn.Module) -> nn.Module:
    """Return the attention of a block, which does not compute when the block is skipped."""
    return next(part for name, part in block.named_children() if name in ("attn", "attention"))


@contextmanager
def counting(painter: Painter) -> Iterator[list[int]]:
    """Yield how often each of the blocks that may be skipped computed."""
    blocks = getattr(network_of(painter), painter.base.traits.skippable_blocks or "")
    counts = [0] * len(blocks)

    def counter(index: int) -> Callable[..., None]:
        def count(*_: object) -> None:
            counts[index] += 1

        return count

    handles = [inner(block).register_forward_pre_hook(counter(index)) for index, block in enumerate(blocks)]
    yield counts
    for handle in handles:
        handle.remove()


def distance(one: Picture, other: Picture) -> float:
    levels = [torch.frombuffer(bytearray(picture.rgb), dtype=torch.uint8).float() for picture in (one, other)]
    return float((levels[0] - levels[1]).abs().mean())


@pytest.mark.parametrize("changes", REQUESTS.values(), ids=REQUESTS)
def test_a_large_threshold_skips_blocks_and_changes_little(folder: Path, changes: dict[str, Any]) -> None:
    request = request_of(**changes)
    plain, exact, cached = (load(folder, cache) for cache in (None, "first-block:0", LARGEST))
    picture = plain.paint(request)
    assert picture.step_cache is None
    assert exact.paint(request).rgb == picture.rgb
    with counting(cached) as counts:
        quick = cached.paint(request)
    assert counts[0] % STEPS == 0
    assert 0 < counts[1] < counts[0]
    assert counts[1:] == [counts[1]] * (len(counts) - 1)
    assert 0 < distance(quick, picture) < 4
    assert cached.paint(request) == quick


def test_the_picture_is_that_of_diffusers(qwen: Path) -> None:
    request = request_of("a cat on a rooftop", guidance=4.0, negative_prompt="rain")
    stock = make_tiny_pipeline()
    stock.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.4))
    expected = stock(
        prompt=request.prompt, negative_prompt=request.negative_prompt, true_cfg_scale=4.0, width=64, height=64,
        num_inference_steps=STEPS, generator=torch.Generator().manual_seed(7), output_type="pt",
    ).images  # fmt: skip
    cached = load(qwen, LARGE)
    pixels = finish(begin(cached, [request])).decode([0])
    torch.testing.assert_close(pixels, expected, atol=1e-5, rtol=0)
    assert to_pictures(pixels, [request])[0].rgb != load(qwen).paint(request).rgb


def begin(painter: Painter, requests: list[GenerationRequest]) -> DenoiseBatch:
    """Return a batch of requests that differ in words and seeds alone."""
    first, rows = requests[0], []
    for request in requests:
        words = [request.prompt, request.negative_prompt]
        prompt, negative = (one.text for one in painter.prompts.encode(words, painter.text_state))
        guides = needs_negative(painter.base, request.guidance)
        rows.append(DenoiseRow(prompt=prompt, negative=negative if guides else None, seed=request.seed))
    schedule = painter.schedule_of(first)
    return painter.begin(
        rows, width=first.width, height=first.height, schedule=schedule, guidance=first.guidance
    )


def finish(batch: DenoiseBatch) -> DenoiseBatch:
    while batch.left:
        batch.step()
    return batch


def test_a_row_does_not_depend_on_the_others_and_outlives_them(folder: Path) -> None:
    painter = load(folder, LARGEST)
    requests = [
        request_of(words, seed=seed) for seed, words in enumerate(["cat food", "a dog", "a large moon"])
    ]
    alone = [finish(begin(painter, [request])).latents[0] for request in requests]
    batch = begin(painter, requests)
    for _ in range(STEPS // 2):
        batch.step()
    batch.drop(1)
    finish(batch)
    for row in (0, 2):
        assert torch.equal(batch.latents[row], alone[row])
    shared = load(folder, LARGEST, pictures_per_pass=3)
    assert (
        distance(shared.paint_batch(requests[:1] * 2)[1], painter.paint(requests[0])) < 0.1
    )  # decoded together


def test_pictures_that_take_turns_do_not_mix(folder: Path) -> None:
    painter = load(folder, LARGEST)
    requests = [request_of(), request_of("a dog", seed=2), request_of(width=96), request_of(steps=4)]
    alone = [painter.paint(request) for request in requests]
    streams = [painter.events(request) for request in requests]
    painted: dict[int, Picture] = {}
    while len(painted) < len(streams):
        for index, stream in enumerate(streams):
            if isinstance(event := next(stream, None), Finished):
                painted[index] = event.pictures[0]
    assert [painted[index] for index in range(len(streams))] == alone


def test_a_first_prediction_of_another_batch_is_not_taken_over(qwen: Path) -> None:
    painter = load(qwen, LARGE)
    request = request_of()
    first = finish(begin(painter, [request])).first(0)
    batch = begin(painter, [request])
    row = replace(batch.rows[0], first=first)
    again = painter.begin([row], width=64, height=64, schedule=painter.schedule_of(request), guidance=1.0)
    finish(again)
    assert again.predictions == STEPS
    assert torch.equal(again.latents, finish(batch).latents)


def test_few_steps_are_computed_in_full_and_it_is_said(folder: Path) -> None:
    request = request_of(steps=4)
    picture = load(folder, "first-block:1").paint(request)
    assert picture == load(folder).paint(request)
    assert [remark for remark in picture.remarks if "step cache is not used for 4 steps" in remark]


def test_a_lora_goes_on_top(qwen: Path, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    width = network_of(load(qwen)).transformer_blocks[0].attn.to_q.in_features
    tensors = {}
    for block in (0, 1):
        key = f"transformer.transformer_blocks.{block}.attn.to_q"
        tensors[f"{key}.lora_A.weight"] = torch.randn(2, width, generator=draw)
        tensors[f"{key}.lora_B.weight"] = torch.randn(width, 2, generator=draw)
    save_file(tensors, tmp_path / "ink.safetensors")
    plain, inked = request_of(), request_of(loras=(LoraUse(name="ink"),))
    exact = load(qwen, lora_dir=tmp_path).paint(inked)
    cached = load(qwen, LARGE, lora_dir=tmp_path)
    before = cached.paint(plain)
    streams = [cached.events(plain), cached.events(inked)]
    while not isinstance((first := next(streams[0])), Finished):
        second = next(streams[1])
    second = next(streams[1])
    assert isinstance(second, Finished)
    again, worn = first.pictures[0], second.pictures[0]
    assert again == before
    assert worn.rgb != before.rgb
    assert distance(worn, exact) < 4
    assert cached.idle()
    assert distance(cached.paint(inked), worn) <= 1  # merged into the weights, skipped blocks too


def test_what_overflowed_is_not_reused(qwen: Path) -> None:
    request = request_of()
    cached = Painter.load(str(qwen), device="cpu", precision="fp16", cache=LARGE)
    plain = Painter.load(str(qwen), device="cpu", precision="fp16")
    for painter in (cached, plain):
        enlarge(network_of(painter), "transformer_blocks.0.attn.to_v")
    expected, picture = plain.paint(request), cached.paint(request)
    assert expected.rescues.steps == 1
    assert picture.rescues == expected.rescues
    assert distance(picture, expected) < 4


def test_a_streamed_network_is_computed_in_full(qwen: Path) -> None:
    request = request_of()
    plain, cached = load(qwen).paint(request), load(qwen, LARGE)
    quick = cached.paint(request)
    offload.stream([network_of(cached)], CPU, ahead=True)
    streamed = cached.paint(request)
    assert streamed == plain
    assert streamed.remarks == (
        "the step cache is not used, for the weights are streamed to the device block by block",
    )
    offload.stop_streaming(network_of(cached))
    assert cached.paint(request) == quick
    offload.stream([network_of(cached)], CPU, ahead=False)
    assert cached.paint(request).rgb == plain.rgb


def test_nothing_is_kept_when_a_picture_is_done(qwen: Path) -> None:
    cached = load(qwen, LARGE)
    batch = finish(begin(cached, [request_of()]))
    assert cached.step_cache is not None
    state = cached.step_cache._pass.get_state()
    assert state.head_block_residual is None
    assert batch.cached_by == "first-block 0.4"
    with torch.inference_mode(), counting(cached) as counts:  # nobody's steps: each in full
        text = cached.base.encode_text(["a cat"])
        latents = cached.base.noise([1], 64, 64)
        for _ in range(2):
            cached.base.predict(latents, torch.tensor([0.5]), text)
    assert counts == [2, 2]


def test_the_file_says_so_and_repaints_with_a_remark(
    qwen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cat.png"
    command = ["paint", "cat food", "--base", str(qwen), "--steps", "20", "--size", "64x64", "--seed", "7"]
    assert run([*command, "--cache", LARGE, "-o", str(file)]) == 0
    with file.open("rb") as opened:
        assert "Step cache: first-block 0.4" in (read_infotext(opened) or "")
    (remark,) = import_request(file).remarks
    assert f"only --cache {LARGE} paints it alike" in remark
    capsys.readouterr()
    assert run(["paint", "--from", str(file), "--base", str(qwen), "-o", str(tmp_path / "again.png")]) == 0
    assert "it was painted with a step cache" in capsys.readouterr().err


def test_it_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="family vignette, whose blocks it cannot skip"):
        Painter.load(cache="first-block", device="cpu")
    with pytest.raises(RequestError, match="family sdxl"):
        load(write_tiny_sdxl(tmp_path / "xl"), "first-block")
    assert run(["paint", "a cat", "--cache", "first-block"]) == 2

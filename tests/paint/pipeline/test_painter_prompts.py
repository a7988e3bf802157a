"""A prompt is encoded once for all pictures that ask for it, as long as the text encoders wear the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter

WRITERS: dict[str, Callable[[Path], Path]] = {"sdxl": write_tiny_sdxl, "qwen-image": write_tiny_qwen}


@pytest.fixture(scope="module", params=WRITERS)
def painter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](folder / "base")
    (folder / "loras").mkdir()
    return Painter.load(str(folder / "base"), lora_dir=folder / "loras", device="cpu")


def asked(painter: Painter, prompt: str = "a cat") -> GenerationRequest:
    return GenerationRequest(
        prompt=prompt, negative_prompt="rain", width=32, height=32, steps=1, guidance=3.0, seed=1,
        base=painter.base.name,
    )  # fmt: skip


@contextmanager
def readings(painter: Painter) -> Iterator[list[int]]:
    """Count how often the first text encoder is run."""
    encoder, seen = painter.base.stages()["text"][0], list[int]()
    inner = getattr(encoder, "model", encoder)
    hook = getattr(inner, "language_model", inner).register_forward_hook(lambda *_: seen.append(1))
    try:
        yield seen
    finally:
        hook.remove()


def test_a_prompt_is_encoded_once(painter: Painter) -> None:
    fresh = replace(painter)
    with readings(painter) as seen:
        first = fresh.paint(asked(painter))
        assert len(seen) == 2
        again = fresh.paint(replace(asked(painter), seed=2))
        other = fresh.paint(asked(painter, "a large dog"))
        assert len(seen) == 3
        assert fresh.paint(asked(painter)).rgb == first.rgb
        assert len(seen) == 3
    assert first.rgb != again.rgb
    assert other.rgb == replace(painter).paint(asked(painter, "a large dog")).rgb


def test_a_lora_on_the_text_encoder_has_prompts_encoded_anew(painter: Painter) -> None:
    if painter.base.family != "sdxl":
        pytest.skip("no LoRA of this family touches the text encoder")
    encoder = painter.base.modules()["text_encoder"]
    path, layer = next(
        (path, one)
        for path, one in encoder.named_modules()
        if path.endswith("q_proj") and isinstance(one, torch.nn.Linear)
    )
    draw = torch.Generator().manual_seed(0)
    assert painter.lora_manager is not None
    save_file(
        {
            f"text_encoder.{path}.lora_A.weight": torch.randn(2, layer.in_features, generator=draw),
            f"text_encoder.{path}.lora_B.weight": torch.randn(layer.out_features, 2, generator=draw),
        },
        Path(painter.lora_manager.folder.path) / "voice.safetensors",
    )
    plain, fresh = asked(painter), replace(painter)
    voiced = replace(plain, loras=(LoraUse(name="voice"),))
    with readings(painter) as seen:
        pictures = fresh.paint_batch([plain, voiced, plain, voiced])
        assert len(seen) == 4
    assert pictures[0].rgb == pictures[2].rgb != pictures[1].rgb == pictures[3].rgb

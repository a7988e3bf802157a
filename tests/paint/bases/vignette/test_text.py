"""The text encoder: prompts to states, neighbours that do not matter, and its file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.vignette.text import TextConfig, TextEncoder

PROMPTS = ["a cat on a beach", "猫", "", "two cats, side by side"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("tiny"))
    return TextEncoder.from_file(folder / "text.safetensors")


def test_states_are_padded_to_the_longest_prompt(encoder: TextEncoder) -> None:
    encoded = encoder.encode(PROMPTS)
    lengths = [len(encoder.tokenizer.encode(prompt).ids) for prompt in PROMPTS]
    assert encoded.states.shape == (4, max(lengths), encoder.config.width)
    assert encoded.mask.sum(dim=1).tolist() == lengths


def test_a_prompts_states_do_not_depend_on_its_neighbours(encoder: TextEncoder) -> None:
    together = encoder.encode(PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt]).states[0]
        assert torch.allclose(together.states[row, : len(alone)], alone, atol=1e-5)


def test_the_empty_prompt_is_its_special_tokens(encoder: TextEncoder) -> None:
    ids, mask = encoder.tokenize([""])
    assert ids.tolist() == [[0, 2]]
    assert bool(mask.all())


def test_long_prompts_lose_their_end_but_stay_closed(encoder: TextEncoder) -> None:
    long = "a cat " * 100
    ids, _ = encoder.tokenize([long])
    assert ids.shape == (1, encoder.config.max_tokens)
    assert int(ids[0, -1]) == 2
    assert len(encoder.tokenizer.encode(long).ids) > encoder.config.max_tokens


def test_states_may_be_trained_on(encoder: TextEncoder) -> None:
    states = encoder.encode(["a cat"]).states
    weight = torch.ones(states.shape[-1], requires_grad=True)
    torch.autograd.backward((states * weight).sum())
    assert weight.grad is not None


def test_no_prompts_are_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="at least one"):
        encoder.encode([])


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible"):
        TextConfig(pieces=10, width=10, heads=3)
    with pytest.raises(ValueError, match="positive"):
        TextConfig(pieces=0)


def test_a_tokenizer_of_another_size_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="pieces"):
        TextEncoder(TextConfig(pieces=9, width=32, heads=2, hidden=32, layers=1), encoder.tokenizer)


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_file_cut_short_is_refused_in_words(tmp_path: Path, keep: int) -> None:
    whole = write_tiny_vignette(tmp_path) / "text.safetensors"
    whole.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="is not a Vignette text encoder"):
        TextEncoder.from_file(whole)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_vignette(tmp_path)
    with pytest.raises(WeightsError, match="is not a Vignette text encoder"):
        TextEncoder.from_file(folder / "denoiser.safetensors")
    with pytest.raises(WeightsError, match="absent"):
        TextEncoder.from_file(folder / "absent.safetensors")


@pytest.mark.weights
def test_the_shipped_encoder_understands_both_languages() -> None:
    path = Path(str(files("allaprima").joinpath("weights/vignette/text.safetensors")))
    if not path.exists():
        pytest.skip("this checkout has no weights")
    encoder = TextEncoder.from_file(path)
    prompts = [
        "A cat on the beach",
        "a cat on the beach",
        "海滩上的猫",
        "a truck in a forest",
        "森林里的卡车",
    ]
    encoded = encoder.encode(prompts)
    assert encoded.states.shape[-1] == 384
    assert encoded.mask[0].tolist() == encoded.mask[1].tolist()
    weights = encoded.mask.float().unsqueeze(-1)
    means = torch.nn.functional.normalize((encoded.states * weights).sum(1) / weights.sum(1), dim=1)
    alike = means @ means.T
    assert float(alike[0, 1]) > 0.999
    assert float(alike[1, 2]) > float(alike[1, 4])
    assert float(alike[3, 4]) > float(alike[3, 2])

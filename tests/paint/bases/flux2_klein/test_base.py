from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.parity import our_pictures

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase, empirical_mu, pack, unpack
from allaprima.paint.bases.flux2_klein.traits import TRAITS, UNDISTILLED
from allaprima.paint.bases.flux2_klein.weights import load_flux2_klein
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter


def test_it_is_a_base_with_the_defaults_of_its_kind(
    base: Flux2KleinBase, checkpoint: Path, tmp_path: Path
) -> None:
    assert isinstance(base, Base)
    assert (base.name, base.defaults, list(base.modules())) == (
        checkpoint.name,
        TRAITS.defaults,
        ["transformer"],
    )
    folder = Path(shutil.copytree(checkpoint, tmp_path / "undistilled"))
    edit(folder / "model_index.json", is_distilled=False)
    undistilled = load_flux2_klein(folder, absent=("text", "predict", "decode"))
    assert undistilled.defaults == UNDISTILLED
    request = Painter(base=base).request(prompt="a cat")
    assert (request.steps, request.guidance, request.width) == (4, 1.0, 1024)


def test_it_says_what_its_latents_and_text_look_like(base: Flux2KleinBase) -> None:
    assert base.text_widths == (base.encode_text(["a cat"]).states.shape[2], None)
    assert base.noise([1], 64, 48).shape == (1, 16, 48 // base.stride, 64 // base.stride)
    together = base.noise([3, 4], 64, 32)
    assert torch.equal(together[1:], base.noise([4], 64, 32))
    cells = torch.randn(2, 3, 8, 12)
    assert torch.equal(unpack(pack(cells)), cells)


def test_what_it_encodes_it_decodes(base: Flux2KleinBase) -> None:
    latents = base.encode(torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)))
    cells = base.autoencoder.encode(base.decode(latents) * 2 - 1, return_dict=False)[0].mode()
    mean, deviation = base._statistics(cells.device)
    torch.testing.assert_close((pack(cells) - mean) / deviation, base.encode(base.decode(latents)))
    half = torch.zeros(1, 1, 32, 48)
    half[..., :16] = 1.0
    mask = base.latent_mask(half)
    assert mask.shape == (1, 16, 2, 3)
    assert torch.equal(mask[0, :, 0, :], torch.tensor([1.0, 0.0, 0.0]).expand(16, 3))


def test_sizes_and_schedules_that_are_not_there_are_told(base: Flux2KleinBase) -> None:
    with pytest.raises(RequestError, match="got size 1000x1024; expected sides that are multiples of 16"):
        base.check_size(1000, 1024)
    with pytest.raises(RequestError, match="got the schedule 'karras'; expected none"):
        base.schedule(4, 64, 64, "karras")
    assert base.schedule(4, 1024, 1024) != base.schedule(4, 512, 512)


def test_the_shift_is_that_of_the_authors() -> None:
    # Computed from the formula of Black Forest Labs by hand.
    assert empirical_mu(4096, 10) == pytest.approx(8.73809524e-05 * 4096 + 1.89833333)
    assert empirical_mu(4096, 200) == pytest.approx(0.00016927 * 4096 + 0.45666666)
    assert empirical_mu(5000, 4) == 0.00016927 * 5000 + 0.45666666


def test_narrow_numbers_paint_nearly_the_same(checkpoint: Path, base: Flux2KleinBase) -> None:
    narrow = load_flux2_klein(checkpoint, dtype=torch.bfloat16)
    request = GenerationRequest(prompt="a cat", base="klein", width=64, height=64, steps=4, guidance=1.0)
    whole, rounded = (our_pictures(one, ["a cat"], request) for one in (base, narrow))
    assert (whole - rounded).abs().mean() < 0.02 < whole.std()


def test_what_the_words_hold_beyond_the_model_is_said(base: Flux2KleinBase) -> None:
    request = GenerationRequest(prompt="a (cat:1.3) " + "x" * 600, base="klein")
    said = base.remarks(request)
    assert any("beyond what the base reads" in remark for remark in said)
    assert any("(cat:1.3)" in remark for remark in said)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def change(file: Path, edit_tensors: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(file)
    edit_tensors(tensors)
    save_file(tensors, file, {"format": "pt"})


TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another class": (
        lambda f: edit(f / "model_index.json", text_encoder=["transformers", "T5EncoderModel"]),
        "names 'T5EncoderModel' for text_encoder; expected Qwen3ForCausalLM or Qwen3Model",
    ),
    "no weights": (lambda f: (f / TRANSFORMER).unlink(), "holds no weights"),
    "a tensor missing": (
        lambda f: change(f / TRANSFORMER, lambda t: t.pop("x_embedder.weight")), "lacks: x_embedder.weight",
    ),
    "no statistics": (lambda f: change(f / VAE, lambda t: t.pop("bn.running_mean")), "lacks: bn.running_mean"),
    "statistics that are none": (
        lambda f: change(f / VAE, lambda t: t["bn.running_var"].zero_()), "has variances that are none",
    ),
    "another scheduler": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", use_karras_sigmas=True), "asks for another",
    ),
    "no vocabulary": (lambda f: (f / "tokenizer" / "tokenizer.json").unlink(), "holds no vocabulary"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_loaded_is_told_in_one_sentence(damage: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "klein"))
    spoil, told = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(WeightsError) as caught:
        load_flux2_klein(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"in_channels": 64}, "takes 64 channels and the autoencoder makes 16"),
        ({"joint_attention_dim": 64}, "reads text of width 64 and the text encoder writes 48"),
        ({"guidance_embeds": True}, "is told the guidance, as FLUX.2 dev is"),
    ],
)
def test_parts_of_two_models_are_refused(
    changes: dict[str, Any], told: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "klein"))
    edit(folder / "transformer" / "config.json", **changes)
    with pytest.raises(WeightsError, match=told):
        load_flux2_klein(folder, absent=("text", "predict", "decode"))

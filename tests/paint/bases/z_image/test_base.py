from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ZImagePipeline
from tests.paint.bases.z_image.test_parity import CAT, stock_pictures
from tests.parity import assert_alike, our_pictures
from tests.tiny_z_image import DYNAMIC, make_tiny_z_image, write_tiny_z_image

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.z_image.base import ZImageBase
from allaprima.paint.bases.z_image.traits import TRAITS
from allaprima.paint.bases.z_image.weights import UNDISTILLED, load_z_image
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter


def test_it_is_a_base_with_the_defaults_of_its_kind(
    base: ZImageBase, checkpoint: Path, tmp_path: Path
) -> None:
    assert isinstance(base, Base)
    assert (base.name, base.defaults, list(base.modules())) == (
        checkpoint.name,
        TRAITS.defaults,
        ["transformer"],
    )
    folder = Path(shutil.copytree(checkpoint, tmp_path / "undistilled"))
    edit(folder / "scheduler" / "scheduler_config.json", shift=6.0)
    undistilled = load_z_image(folder, absent=("text", "predict", "decode"))
    assert undistilled.defaults == UNDISTILLED
    request = Painter(base=base).request(prompt="a cat")
    assert (request.steps, request.guidance, request.width) == (8, 1.0, 1024)


def test_it_says_what_its_latents_and_text_look_like(base: ZImageBase) -> None:
    assert base.text_widths == (base.encode_text(["a cat"]).states.shape[2], None)
    assert base.noise([1], 64, 48).shape == (1, 4, 48 // base.stride, 64 // base.stride)
    assert base.latent_mask(torch.ones(1, 1, 48, 64)).shape == (1, 1, 6, 8)


@pytest.mark.parametrize("size", [(64, 64), (96, 32)])
def test_levels_that_depend_on_the_size_are_those_of_diffusers(size: tuple[int, int], tmp_path: Path) -> None:
    base = load_z_image(write_tiny_z_image(tmp_path / "z", scheduler=DYNAMIC))
    stock: ZImagePipeline = make_tiny_z_image(DYNAMIC)
    changes = {"width": size[0], "height": size[1], "steps": 3, "guidance": 4.0}
    request = GenerationRequest.from_json({**CAT.to_json(), **changes})
    assert_alike(our_pictures(base, ["a cat"], request), stock_pictures(stock, ["a cat"], request))


@torch.inference_mode()
def test_rows_of_every_length_are_predicted_as_if_alone(base: ZImageBase) -> None:
    prompts = ["a cat", "a very long cat " * 4, "a dog", "a cat on a rooftop at sunset"]
    text = base.encode_text(prompts)
    latents, times = base.noise([1, 2, 3, 4], 32, 32), torch.tensor([0.9, 0.5, 0.5, 0.1])
    together = base.predict(latents, times, text)
    for row, prompt in enumerate(prompts):
        one = slice(row, row + 1)
        alone = base.predict(latents[one], times[one], base.encode_text([prompt]))
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=0)


def test_sizes_and_schedules_that_are_not_there_are_told(base: ZImageBase) -> None:
    with pytest.raises(RequestError, match="got size 1000x1024; expected sides that are multiples of 16"):
        base.check_size(1000, 1024)
    with pytest.raises(RequestError, match="got the schedule 'karras'; expected none"):
        base.schedule(4, 64, 64, "karras")
    assert base.schedule(8, 1024, 1024) == base.schedule(8, 512, 512)


def test_narrow_numbers_paint_nearly_the_same(checkpoint: Path, base: ZImageBase) -> None:
    narrow = load_z_image(checkpoint, dtype=torch.bfloat16)
    request = GenerationRequest(prompt="a cat", base="z", width=64, height=64, steps=4, guidance=1.0)
    whole, rounded = (our_pictures(one, ["a cat"], request) for one in (base, narrow))
    assert (whole - rounded).abs().mean() < 0.02 < whole.std()


def test_guidance_of_nought_is_none(base: ZImageBase) -> None:
    painter = Painter(base=base)
    none, one = (
        painter.paint(
            painter.request(prompt="a cat", seed=1, width=32, height=32, steps=1, guidance=guidance)
        )
        for guidance in (0.0, 1.0)
    )
    assert none.rgb == one.rgb


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("transformer", {"in_channels": 8}, "takes 8 channels and the autoencoder makes 4"),
        ("transformer", {"cap_feat_dim": 24}, "reads text of width 24 and the text encoder writes 16"),
        ("transformer", {"siglip_feat_dim": 16}, "is of a kind that Z-Image-Turbo is not"),
        ("vae", {"scaling_factor": 0}, "got scaling_factor 0; expected a number above 0"),
        ("vae", {"shift_factor": None}, "got shift_factor None; expected a number"),
    ],
)
def test_parts_of_two_models_are_refused(
    part: str, changes: dict[str, Any], told: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "z"))
    edit(folder / part / "config.json", **changes)
    with pytest.raises(WeightsError, match=told) as caught:
        load_z_image(folder, absent=("text", "predict", "decode"))
    assert "\n" not in str(caught.value)


def test_a_weight_is_read_as_its_words_alone(base: ZImageBase) -> None:
    weighted, plain = base.encode_text(["a (cat:1.3)"]), base.encode_text(["a cat"])
    assert torch.equal(weighted.states, plain.states)

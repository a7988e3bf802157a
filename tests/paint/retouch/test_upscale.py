from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.tiny_upscaler import tiny_upscaler, write_upscaler

from allaprima.core.errors import PictureError, RequestError, WeightsError
from allaprima.core.retouch import Upscale
from allaprima.paint.retouch.upscale import upscale
from allaprima.paint.retouch.upscaler import Upscaler, UpscalerConfig
from allaprima.paint.retouch.upscaler_files import load_upscaler
from allaprima.paint.retouch.upscaler_folder import locate_upscaler
from allaprima.paint.retouch.work import Workshop, finish

SHOP = Workshop(device=torch.device("cpu"))


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_upscaler(tmp_path / "tiny.safetensors"))


def test_an_untrained_upscaler_repeats_pixels() -> None:
    given = torch.rand(1, 3, 5, 7)
    output = Upscaler(UpscalerConfig(channels=4, pairs=1))(given)
    assert torch.equal(output, given.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_the_reach_is_how_far_a_pixel_acts() -> None:
    model = tiny_upscaler()
    given = torch.rand(1, 3, 41, 41)
    changed = given.clone()
    changed[:, :, 20, 20] += 0.5
    rows = (model(changed) - model(given)).abs().amax((0, 1, 3)).nonzero().flatten() // 2
    assert (int(rows.min()), int(rows.max())) == (20 - model.config.reach, 20 + model.config.reach)


def test_pixels_stay_exact_in_bf16() -> None:
    model = Upscaler(UpscalerConfig(channels=4, pairs=1)).to(torch.bfloat16)
    given = torch.arange(256).float().view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    assert torch.equal(model(given)[:, :, ::2, ::2], given)


def test_a_file_gives_the_model_back(file: str) -> None:
    loaded = load_upscaler(Path(file), torch.device("cpu"), torch.float32)
    given = torch.rand(1, 3, 20, 20)
    assert torch.allclose(loaded.enlarge(given), tiny_upscaler()(given), atol=1e-2)
    assert (loaded.scale, loaded.tiles.reach) == (2, tiny_upscaler().config.reach)


@pytest.mark.parametrize(
    ("scale", "size"),
    [(2.0, (60, 40)), (4.0, (120, 80)), (1.5, (45, 30)), (3.0, (90, 60)), (8.0, (240, 160))],
)
def test_the_size_is_what_was_asked_for(file: str, scale: float, size: tuple[int, int]) -> None:
    image = Image.new("RGB", (30, 20), "#884422")
    assert finish(upscale(image, Upscale(scale=scale, upscaler=file), SHOP)).size == size


def test_a_scale_that_gives_no_pixel_more_is_no_work(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.paint.retouch.upscale.get_upscaler", None)  # to load one would be work
    image = Image.new("RGB", (30, 20), "#884422")
    assert finish(upscale(image, Upscale(scale=1.01, upscaler=file), SHOP)) is image
    with pytest.raises(RequestError, match="nobody"):
        finish(upscale(image, Upscale(scale=1.01, upscaler="nobody"), SHOP))


def test_transparency_is_enlarged_as_well(file: str) -> None:
    image = Image.new("RGBA", (20, 20), (200, 30, 30, 0))
    image.paste((200, 30, 30, 255), (0, 0, 10, 20))
    plain = Upscaler(UpscalerConfig(channels=4, pairs=1)).eval()
    shop = Workshop(device=torch.device("cpu"))
    loaded = replace(load_upscaler(Path(file), SHOP.device, torch.float32), enlarge=plain)
    shop.keep(("upscaler", Path(file)), lambda: loaded)
    enlarged = finish(upscale(image, Upscale(scale=2, upscaler=file), shop))
    assert (enlarged.mode, enlarged.size) == ("RGBA", (40, 40))
    alpha = np.asarray(enlarged.getchannel("A"))
    assert (alpha[:, :20] == 255).all()
    assert not alpha[:, 20:].any()


def test_too_large_a_result_is_refused_before_the_work() -> None:
    with pytest.raises(PictureError, match="24000x24000 pixels"):
        next(upscale(Image.new("RGB", (3000, 3000)), Upscale(scale=8), SHOP))


def test_an_upscaler_is_found_by_name_in_the_folders_of_other_programs(tmp_path: Path) -> None:
    one = write_upscaler(tmp_path / "comfy" / "upscale_models" / "one.safetensors")
    two = write_upscaler(tmp_path / "web" / "models" / "ESRGAN" / "two.safetensors")
    dirs = (tmp_path / "comfy", tmp_path / "web")
    assert locate_upscaler("one", dirs) == one
    assert locate_upscaler("two.safetensors", dirs) == two
    assert locate_upscaler(str(one)) == one
    with pytest.raises(RequestError, match=r"expected vignette, one, two, a .safetensors file"):
        locate_upscaler("three", dirs)
    listed = tmp_path / "extra_model_paths.yaml"
    listed.write_text(f"mine:\n  base_path: {tmp_path}\n  upscale_models: {one.parent}\n")
    assert locate_upscaler("one", [listed]) == one


def test_a_pickle_is_found_only_where_nothing_better_is(tmp_path: Path) -> None:
    folder = tmp_path / "upscale_models"
    one = write_upscaler(folder / "one.safetensors")
    for name in ("one", "two"):
        torch.save({"x": torch.zeros(1)}, folder / f"{name}.pth")
    assert locate_upscaler("one", (tmp_path,)) == one
    with pytest.raises(WeightsError, match="convert it with prima lora convert"):
        load_upscaler(locate_upscaler("two", (tmp_path,)), SHOP.device, torch.float32)


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "pickled.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", {"kind": "denoiser", "format": "1"})
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    misfit = {"kind": "upscaler", "format": "1", "config": '{"channels": 4}'}
    save_file({"x": torch.zeros(1)}, tmp_path / "misfit.safetensors", misfit)
    for name, complaint in (
        ("pickled", "is a pickle, which can run programs"),
        ("other", "has kind 'denoiser'"),
        ("broken", "cannot read"),
        ("misfit", "does not fit"),
    ):
        with pytest.raises(WeightsError, match=complaint):
            finish(
                upscale(
                    Image.new("RGB", (8, 8)), Upscale(upscaler=str(tmp_path / f"{name}.safetensors")), SHOP
                )
            )

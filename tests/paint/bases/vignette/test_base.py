from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import RequestError
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.bases.vignette.half_linear import HalfLinear
from allaprima.paint.bases.vignette.quick_decoder import prepacked_bytes
from allaprima.paint.bases.vignette.quick_encoder import packed_encoder_bytes
from allaprima.paint.bases.vignette.traits import TRAITS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prepacked_bytes_are_those_that_painting_copies(tmp_path: Path, dtype: torch.dtype) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path), dtype=dtype)
    copies = base.prepacked_bytes(mapped=False)
    with torch.inference_mode():
        base.encode_text(["cat"])
        base.decode(base.noise([0], 256, 256))
        base.encode(torch.rand(1, 3, 256, 256))
    halved = [layer for layer in base.text.modules() if isinstance(layer, HalfLinear)]
    assert copies["text"] == sum(2 * layer.weight.numel() for layer in halved)
    if torch.backends.quantized.engine in ("x86", "fbgemm"):
        assert all(layer._packed for layer in halved)
    assert (base._decoder._ways is not None) == (dtype == torch.float32)
    assert base._encoder._stages
    decoder = prepacked_bytes(base.autoencoder) if base._decoder._ways is not None else 0
    assert copies["decode"] == decoder + packed_encoder_bytes(base.autoencoder)


def test_a_base_paints_no_size_and_knows_no_schedule_but_its_traits() -> None:
    base = load_vignette()
    assert TRAITS.fixed_size
    base.check_size(TRAITS.defaults.width, TRAITS.defaults.height)
    with pytest.raises(RequestError, match="got size 256x128"):
        base.check_size(256, 128)
    assert TRAITS.schedules == ()
    with pytest.raises(RequestError, match="got the schedule 'lcm'"):
        base.schedule(4, 256, 256, "lcm")


def test_it_says_what_its_latents_and_text_look_like(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    text = base.encode_text(["a cat"])
    assert base.text_widths == (text.states.shape[2], None)
    assert base.noise([1], 256, 256).shape[3] * base.stride == 256


@pytest.mark.parametrize("detail_width", [0, 8])
def test_the_trunk_alone_is_the_coarse_decoder(tmp_path: Path, detail_width: int) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path, detail_width=detail_width), dtype=torch.float32)
    latents = base.noise([0], 256, 256)
    fine, coarse = base.autoencoder.decode_both(latents)
    assert base.has_coarse_decoder == bool(detail_width)
    for found, pixels in ((base.decode(latents), fine), (base.decode_coarse(latents), coarse)):
        assert torch.allclose(found, (pixels / 2 + 0.5).clamp(0, 1), atol=1e-5)
    assert torch.equal(fine, coarse) == (not detail_width)


def test_painting_does_not_import_diffusers() -> None:
    modules = "allaprima.paint.painter, allaprima.paint.bases.vignette.base"
    code = f"import sys, {modules}; print('diffusers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

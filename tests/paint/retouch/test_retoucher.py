from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.tiny_upscaler import write_upscaler

from allaprima.core.errors import PictureError
from allaprima.core.picture import Picture, Rescues
from allaprima.core.picture_files import read_history
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Upscale
from allaprima.core.retouch_source import open_to_retouch
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.work import Workshop, part

REQUEST = GenerationRequest(prompt="a cat", seed=7, width=8, height=8)


@pytest.fixture
def retoucher(tmp_path: Path) -> Retoucher:
    write_upscaler(tmp_path / "models" / "ESRGAN" / "tiny.safetensors")
    return Retoucher(Workshop(device=torch.device("cpu"), models_dirs=(tmp_path / "models",)))


def test_operations_are_done_and_recorded_in_order(retoucher: Retoucher, tmp_path: Path) -> None:
    first, second = Upscale(scale=2, upscaler="tiny"), Upscale(scale=1.5, upscaler="tiny")
    shares: list[float] = []
    once = retoucher(Image.new("RGB", (8, 8), "teal"), first, on_share=shares.append)
    twice = retoucher(once, second)
    assert (once.image.size, twice.image.size, twice.operations) == ((16, 16), (24, 24), (first, second))
    assert shares[-1] == 1.0
    path = twice.save(tmp_path / "twice.png")
    both = retoucher(Image.new("RGB", (8, 8), "teal"), *read_history(path.read_bytes()).operations)
    assert both.image.tobytes() == twice.image.tobytes()
    assert retoucher(path).operations == (first, second)


def test_a_painted_picture_keeps_its_request_and_what_is_known_of_it(
    retoucher: Retoucher, tmp_path: Path
) -> None:
    painted = Picture(
        request=REQUEST, width=8, height=8, rgb=bytes(192), rescues=Rescues(steps=2), init_strength=0.5
    )
    path = retoucher(painted, Upscale(upscaler="tiny")).save(tmp_path / "a.png")
    history = read_history(path.read_bytes())
    assert history.request == REQUEST
    assert history.infotext is not None
    assert "Denoising strength: 0.5, Rescued steps: 2, Postprocess upscale by: 2" in history.infotext


def test_a_picture_does_not_tell_where_a_weight_file_lies(retoucher: Retoucher, tmp_path: Path) -> None:
    lone = write_upscaler(tmp_path / "home" / "lone.safetensors")
    done = retoucher(Image.new("RGB", (8, 8)), Upscale(upscaler=str(lone)))
    assert done.operations == (Upscale(upscaler="lone.safetensors"),)


def test_parts_follow_each_other() -> None:
    def work() -> Generator[float, None, str]:
        yield 0.5
        yield 1.0
        return "done"

    begun = part(work(), 0.5, 0.75)
    assert [next(begun), next(begun)] == [0.625, 0.75]
    with pytest.raises(StopIteration) as end:
        next(begun)
    assert end.value.value == "done"


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="does not exist"):
        open_to_retouch(tmp_path / "absent.png")
    with pytest.raises(PictureError, match="pixels"):
        open_to_retouch(Image.new("1", (17_000, 1)))

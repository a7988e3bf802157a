from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_retouch import disc_before
from tests.tiny_sam import SIDE, write_tiny_sam
from transformers import SamModel

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.retouch import CutOut
from allaprima.paint.retouch.finders import get_finder, locate_finder
from allaprima.paint.retouch.matting import refine
from allaprima.paint.retouch.onnx_matte import OnnxMatte
from allaprima.paint.retouch.picture_arrays import to_array
from allaprima.paint.retouch.sam_matte import DEVIATION, MEAN, SamMatte
from allaprima.paint.retouch.work import Workshop

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sam(tmp_path_factory.mktemp("models") / "sams" / "tiny-sam")


@pytest.fixture
def workshop(sam_folder: Path) -> Workshop:
    return Workshop(device=CPU, models_dirs=(sam_folder.parents[1],))


def write_onnx(
    path: Path, *, channels: int = 3, side: int | str = 32, width: int = 1, raw: bool = False
) -> Path:
    """Write a network that finds what is red: a convolution, and a sigmoid unless it gives logits (`raw`)."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.zeros((width, channels, 1, 1), np.float32)
    weight[:, 0], weight[:, 1:] = 4, -4
    nodes = [helper.make_node("Conv", ["picture", "weight"], ["logits"])]
    if not raw:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["matte"]))
    out = "logits" if raw else "matte"
    graph = helper.make_graph(
        nodes,
        "finder",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, channels, side, side])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, width, side, side])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("u2netp.onnx", {}),
        ("BiRefNet-general.onnx", {"raw": True}),
        ("isnet-general-use.onnx", {"side": 64}),
        ("silueta.onnx", {"side": "any"}),
    ],
)
def test_onnx_files_find_what_they_learned_to_find(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = write_onnx(tmp_path / name, **options)
    image, matte = disc_before("#2040d0", 96)
    found = OnnxMatte.load(path).find(image)
    assert found.shape == (96, 96)
    assert ((found > 0.5) == (matte > 0.5)).mean() > 0.98


def test_other_onnx_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not say which network"):
        OnnxMatte.load(write_onnx(tmp_path / "a.onnx"))
    (tmp_path / "u2net.onnx").write_bytes(b"no network at all")
    with pytest.raises(WeightsError, match="expected an ONNX file"):
        OnnxMatte.load(tmp_path / "u2net.onnx")
    with pytest.raises(WeightsError, match="expected one colour picture"):
        OnnxMatte.load(write_onnx(tmp_path / "u2net-grey.onnx", channels=1))
    with pytest.raises(WeightsError, match="expected squares of 32"):
        OnnxMatte.load(write_onnx(tmp_path / "u2net-small.onnx", side=8))
    many = OnnxMatte.load(write_onnx(tmp_path / "u2net-classes.onnx", width=5))
    with pytest.raises(WeightsError, match="expected a matte"):
        many.find(Image.new("RGB", (20, 20)))


def test_a_sam_gives_what_transformers_gives(sam_folder: Path) -> None:
    model: Any = SamModel.from_pretrained(sam_folder)
    teal = np.full((SIDE, SIDE, 3), (0, 128, 128), np.uint8)
    found = SamMatte(model=model, points=((20.0, 30.0),)).find(Image.fromarray(teal))
    pixels = torch.from_numpy((teal / 255 - MEAN) / DEVIATION).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        out = model(
            pixel_values=pixels,
            input_points=torch.tensor([[[[20.0, 30.0]]]]),
            input_labels=torch.ones(1, 1, 1).long(),
        )
    logits = out.pred_masks[0, 0, int(out.iou_scores.argmax())]
    whole = (
        torch.nn.functional.interpolate(logits[None, None], (SIDE, SIDE), mode="bilinear")[0, 0]
        .sigmoid()
        .numpy()
    )
    colors = to_array(Image.fromarray(teal))
    assert np.abs(found - refine(whole, colors, colors)).max() < 1e-5


def test_points_and_boxes_change_what_a_sam_finds(workshop: Workshop) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    asked = (
        CutOut(finder="tiny-sam"),
        CutOut(finder="tiny-sam", points=((5, 5), (80, 40))),
        CutOut(finder="tiny-sam", box=(0, 0, 30, 30)),
    )
    mattes = [get_finder(one, workshop).find(image) for one in asked]
    assert all(matte.shape == (50, 90) for matte in mattes)
    assert not np.array_equal(mattes[0], mattes[1])
    assert not np.array_equal(mattes[0], mattes[2])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (CutOut(finder="tiny-sam", points=((90, 3),)), "got the point 90,3 in a picture of 90x50"),
        (CutOut(finder="tiny-sam", box=(30, 0, 20, 9)), "got the box 30,0,20,9"),
    ],
)
def test_what_is_outside_the_picture_is_refused(workshop: Workshop, asked: CutOut, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        get_finder(asked, workshop).find(Image.new("RGB", (90, 50)))


def test_finders_are_found_by_name_and_loaded_once(workshop: Workshop, sam_folder: Path) -> None:
    assert locate_finder("tiny-sam", workshop.models_dirs) == sam_folder
    assert locate_finder(str(sam_folder)) == sam_folder
    first, second = (get_finder(CutOut(finder="tiny-sam"), workshop) for _ in range(2))
    assert first.model is second.model  # type: ignore[attr-defined]
    with pytest.raises(RequestError, match="expected vignette, tiny-sam, weights, or"):
        locate_finder("absent", workshop.models_dirs)


def test_weights_of_another_kind_are_refused_in_a_sentence(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="finds no subjects"):
        get_finder(CutOut(finder=str(tmp_path / "lora.safetensors")), workshop)
    with pytest.raises(RequestError, match="expected them with a SAM"):
        get_finder(CutOut(points=((1, 1),)), workshop)
    (tmp_path / "config.json").write_text('{"model_type": "sam"}', encoding="utf-8")
    with pytest.raises(WeightsError, match=r"expected config\.json and model\.safetensors"):
        get_finder(CutOut(finder=str(tmp_path)), workshop)

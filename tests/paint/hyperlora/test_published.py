"""The numbers are those that the reference computes from the same files (ByteDance's modules, feb11be)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_hyperlora import EMBEDDING_WIDTH, PATCH_WIDTH, Sides, wave, write_published
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.hyperlora.coefficients import Coefficients
from allaprima.paint.hyperlora.published import load_published
from allaprima.paint.lora.update import LowRank, delta_of

ATTENTIONS: Sides = {"lora_unet_a_attn1": (8, None), "lora_unet_a_attn2": (8, 20)}

# Of each projection: elements 0, 1, 17 and the last of `0.5 up down`, and the sum of all magnitudes.
BOTH = {
    "attn1.to_q": (0.0325128, -0.0360734, 0.0276136, 0.0566115, 1.903857),
    "attn1.to_k": (0.016979, -0.0189324, -0.0086477, 0.0041647, 0.91039),
    "attn1.to_v": (-1.43e-05, -0.0001512, 0.0011483, -0.0030029, 0.085195),
    "attn1.to_out.0": (0.00488, -0.0048484, 0.0032295, -0.0053007, 0.230392),
    "attn2.to_q": (0.0078676, -0.0075934, -0.0045266, 0.0036631, 0.475942),
    "attn2.to_k": (-0.0070767, 0.0150643, -0.0301088, -0.0373911, 3.510254),
    "attn2.to_v": (-0.0163762, 0.005209, 0.0311381, 0.0105459, 3.521105),
    "attn2.to_out.0": (0.2596212, -0.2466777, -0.0781793, 0.2530415, 12.549664),
}
PATCHES_ALONE = {
    "attn1.to_q": (0.0313568, -0.0278399, -0.010153, 0.0205037, 0.943518),
    "attn1.to_out.0": (0.0534105, 0.0548009, -0.3149246, 0.243194, 13.14202),
    "attn2.to_k": (0.0096304, -0.0083554, -0.0098204, -0.0108555, 1.399623),
    "attn2.to_out.0": (0.0013809, 0.0048901, -0.0215569, -0.1109093, 3.658445),
}
BASE = {
    "attn1.to_q": (-0.0119658, 0.2187102, 0.1501696, 0.0080467, 6.29462),
    "attn1.to_out.0": (-0.0065727, 0.0011176, -0.0027939, -0.0070102, 0.289568),
    "attn2.to_k": (-0.0059536, 0.0090135, 0.0089531, -0.0083021, 0.984433),
    "attn2.to_out.0": (-0.0871928, 0.1178543, -0.0699157, 0.0387493, 3.789511),
}


class Attention(nn.Module):
    def __init__(self, seen: int) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(8, 8), nn.ModuleList([nn.Linear(8, 8)])
        self.to_k, self.to_v = nn.Linear(seen, 8), nn.Linear(seen, 8)


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    block = nn.ModuleDict({"attn2": Attention(20), "attn1": Attention(8)})  # not in the file's order
    return {"unet": nn.ModuleDict({"a": block})}


def photos() -> tuple[Tensor, Tensor]:
    embedding = wave((2, EMBEDDING_WIDTH), 702)
    return wave((2, 5, PATCH_WIDTH), 701), embedding / embedding.norm(dim=1, keepdim=True)


def assert_is(updates: dict[str, LowRank], expected: Mapping[str, tuple[float, ...]]) -> None:
    for layer, numbers in expected.items():
        delta = delta_of(updates[f"unet.a.{layer}"])
        found = [*delta.flatten()[[0, 1, 17, -1]].tolist(), float(delta.abs().sum())]
        assert found == pytest.approx(numbers, rel=1e-5, abs=1e-5), layer


def test_both_encoders_make_the_references_lora(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    network = load_published(write_published(tmp_path, ATTENTIONS), networks)
    patches, embedding = photos()
    updates = network.identity_updates(network.predict(patches=patches, embedding=embedding))
    assert len(updates) == 8
    assert_is(updates, BOTH)


def test_patches_alone_and_the_base_lora_too(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    network = load_published(write_published(tmp_path, ATTENTIONS, embedding=False, base=True), networks)
    patches, _ = photos()
    person = network.predict(patches=patches, blurred=patches)
    assert_is(network.identity_updates(person), PATCHES_ALONE)
    assert_is(network.base_updates(person), BASE)
    assert network.base_updates(Coefficients(identity=person.identity)) == {}


def test_a_half_precision_file_stays_so(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    folder = write_published(tmp_path, ATTENTIONS)
    for file in folder.glob("*.safetensors"):
        save_file({key: tensor.half() for key, tensor in load_file(file).items()}, file)
    network = load_published(folder, networks)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float16}


def _drop_file(folder: Path) -> None:
    (folder / "resampler.safetensors").unlink()


def _cut_file(folder: Path) -> None:
    path = folder / "hyper_lora_modules.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def _drop_tensor(folder: Path) -> None:
    path = folder / "resampler.safetensors"
    save_file({key: value for key, value in load_file(path).items() if key != "proj_out.bias"}, path)


def _add_tensor(folder: Path) -> None:
    path = folder / "hyper_lora_modules.safetensors"
    save_file({**load_file(path), "0.to_q.magic": torch.zeros(2)}, path)


def _other_shape(folder: Path) -> None:
    path = folder / "hyper_lora_modules.safetensors"
    save_file({**load_file(path), "1.to_k.id_down_basis": torch.zeros(6, 99, 4)}, path)


def _other_base(folder: Path) -> None:
    path = folder / "hyper_lora_modules.json"
    path.write_text(json.dumps({"lora_unet_b_attn1": {"hidden_size": 8}}), encoding="utf-8")


def _no_json(folder: Path) -> None:
    (folder / "hyper_lora_modules.json").write_text("[1", encoding="utf-8")


@pytest.mark.parametrize(
    "damage", [_drop_file, _cut_file, _drop_tensor, _add_tensor, _other_shape, _other_base, _no_json]
)
def test_damaged_files_are_told_of(
    tmp_path: Path, networks: dict[str, nn.Module], damage: Callable[[Path], None]
) -> None:
    folder = write_published(tmp_path, ATTENTIONS)
    damage(folder)
    with pytest.raises(WeightsError):
        load_published(folder, networks)

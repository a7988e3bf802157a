"""DoRA, biases and norms in files: painted as by the program that wrote them."""

from __future__ import annotations

import copy
from pathlib import Path

import peft
import pytest
import torch
from diffusers.loaders import StableDiffusionXLLoraLoaderMixin
from peft.utils import get_peft_model_state_dict
from tests.paint.lora.files.samples import random, through_diffusers
from tests.tiny_loras import (
    Networks,
    Tensors,
    changed,
    kohya,
    kohya_sdxl,
    make_updates,
    qwen_networks,
    run_qwen,
    run_sdxl,
    save,
    sdxl_networks,
    spell,
)
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.files.summary import read_summary
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import Decomposed, delta_of

CROSS = r"unet\.down_blocks\.1\..*attn2\.to_(q|v)$"


def worn(path: Path, networks: Networks, weight: float = 1.0) -> Networks:
    """Return copies of the networks that wear the file on a rack."""
    copies = changed(networks, {})
    rack = Rack(copies)
    rack.register(read_lora(path, copies, name="it"))
    rack.set_adapters({"it": weight})
    return copies


def weight_of(networks: Networks, key: str) -> Tensor:
    network, _, path = key.partition(".")
    layer = networks[network].get_submodule(path)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer.weight


def with_lengths(networks: Networks, pattern: str, axis: int) -> Tensors:
    """Return a kohya file of DoRA's for the layers that `pattern` finds, the lengths some way from the base's."""
    updates = make_updates(networks, pattern)
    tensors = spell(updates, "kohya", alpha=1.0)
    for key in updates:
        weight = weight_of(networks, key)
        norms = weight.transpose(0, axis).flatten(1).norm(dim=1)
        shape = [1] * weight.ndim
        shape[axis] = -1
        tensors[f"{kohya(key)}.dora_scale"] = (norms * (0.5 + random(len(norms)).sigmoid())).view(shape)
    return tensors


def test_diffusers_spelling_paints_as_diffusers_does(tmp_path: Path) -> None:
    networks = sdxl_networks()
    updates = make_updates(networks, CROSS)
    tensors = spell(updates, "diffusers")
    for key in updates:
        norms = weight_of(networks, key).norm(dim=1)
        tensors[f"{key}.lora_magnitude_vector"] = norms * (0.5 + random(len(norms)).sigmoid())
    path = save(tmp_path / "dora.safetensors", tensors)
    with torch.no_grad():
        theirs = run_sdxl(through_diffusers(StableDiffusionXLLoraLoaderMixin, networks, tensors))
        ours = run_sdxl(worn(path, networks))
        plain = run_sdxl(networks)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(ours, plain, atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("weight", [1.0, 0.6])
def test_lycoris_lengths_are_merged_by_hand(tmp_path: Path, axis: int, weight: float) -> None:
    networks = sdxl_networks()
    pattern = r"unet\.down_blocks\.1\.(resnets\.0\.conv1|.*attn2\.to_k)$"
    tensors = with_lengths(networks, pattern, axis)
    updates = make_updates(networks, pattern)
    deltas = {}
    for key, update in updates.items():
        base = weight_of(networks, key)
        merged = base + delta_of(update)
        norms = merged.transpose(0, axis).flatten(1).norm(dim=1)
        shape = [1] * base.ndim
        shape[axis] = -1
        merged = merged * (tensors[f"{kohya(key)}.dora_scale"] / norms.view(shape))
        deltas[key] = weight * (merged - base)
    path = save(tmp_path / "dora.safetensors", tensors)
    with torch.no_grad():
        ours = run_sdxl(worn(path, networks, weight))
        expected = run_sdxl(changed(networks, deltas))
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)
    assert read_summary(path).methods == {"LoRA": len(updates), "DoRA": len(updates)}


def test_pefts_own_file_paints_as_peft_does(tmp_path: Path) -> None:
    networks = qwen_networks()
    config = peft.LoraConfig(
        r=2, lora_alpha=3, use_dora=True, target_modules=["to_q", "to_k"], init_lora_weights=False
    )
    theirs = peft.get_peft_model(copy.deepcopy(networks["transformer"]), config)
    draw = torch.Generator().manual_seed(2)
    for name, parameter in theirs.named_parameters():
        if "magnitude" in name:
            parameter.data.mul_(torch.rand(parameter.shape, generator=draw) + 0.5)
    path = save(tmp_path / "adapter_model.safetensors", get_peft_model_state_dict(theirs))
    config.save_pretrained(str(tmp_path))
    with torch.no_grad():
        ours = run_qwen(worn(path, networks))
        expected = run_qwen({"transformer": theirs.base_model.model})  # type: ignore[dict-item]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    assert all(isinstance(update, Decomposed) for update in read_lora(path, networks).updates.values())


def test_a_dora_without_its_lengths_is_refused(tmp_path: Path) -> None:
    networks = qwen_networks()
    path = save(
        tmp_path / "adapter_model.safetensors", spell(make_updates(networks, r"0\.attn\.to_q$"), "PEFT")
    )
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "use_dora": true}')
    for read in (read_summary, lambda path: read_lora(path, networks)):
        with pytest.raises(LoraError, match="is a DoRA by its configuration and holds no lora_magnitude_vec"):
            read(path)


def test_lengths_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    networks = qwen_networks()
    tensors = spell(make_updates(networks, r"0\.attn\.to_q$"), "LightX2V")
    for ending, shape in (("dora_scale", (3, 1)), ("lora_magnitude_vector", (1, 5))):
        wrong = {**tensors, f"transformer_blocks.0.attn.to_q.{ending}": torch.ones(shape)}
        path = save(tmp_path / "dora.safetensors", wrong)
        with pytest.raises(LoraError, match=r"got \d x \d lengths of a DoRA; expected one for each row of"):
            read_lora(path, networks)
    alone = {"transformer_blocks.0.attn.to_q.dora_scale": torch.ones(16, 1)}
    with pytest.raises(LoraError, match="expected the two halves of an update"):
        read_lora(save(tmp_path / "dora.safetensors", alone), networks)


NORM = "unet.down_blocks.1.attentions.0.transformer_blocks.0.norm2"
RESNET_NORM = "unet.down_blocks.1.resnets.0.norm1"
BIASED = "unet.down_blocks.1.resnets.0.conv1"


def of(networks: Networks, key: str, attribute: str) -> Tensor:
    network, _, path = key.partition(".")
    return networks[network].get_submodule(path).get_parameter(attribute)


@pytest.mark.parametrize("spelling", ["LyCORIS", "ComfyUI"])
@pytest.mark.parametrize("weight", [1.0, -0.5])
def test_norms_and_biases_are_changed_as_by_hand(tmp_path: Path, spelling: str, weight: float) -> None:
    networks = sdxl_networks()
    weight_name, bias_name = ("w_norm", "b_norm") if spelling == "LyCORIS" else ("diff", "diff_b")
    kohya_names = {
        NORM: kohya_sdxl(NORM), RESNET_NORM: "lora_unet_input_blocks_4_0_in_layers_0",
        BIASED: "lora_unet_input_blocks_4_0_in_layers_2",
        "unet.conv_norm_out": "lora_unet_out_0",
    }  # fmt: skip
    tensors: Tensors = {}
    expected = changed(networks, {})
    for key, name in kohya_names.items():
        bias = random(of(networks, key, "bias").numel()) / 4
        tensors[f"{name}.{'diff_b' if key == BIASED else bias_name}"] = bias
        of(expected, key, "bias").data.add_(bias, alpha=weight)
        if key != BIASED:
            change = random(of(networks, key, "weight").numel()) / 3
            tensors[f"{name}.{weight_name}"] = change
            of(expected, key, "weight").data.add_(change, alpha=weight)
    path = save(tmp_path / "norms.safetensors", tensors)
    assert read_lora(path, networks).unmatched == ()
    with torch.no_grad():
        ours = run_sdxl(worn(path, networks, weight))
        torch.testing.assert_close(ours, run_sdxl(expected), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(ours, run_sdxl(networks), atol=1e-3)


@pytest.mark.filterwarnings("ignore:Adapter 'default'. 4 LoRA tensor")  # it takes its own biases for damage
def test_pefts_biases_count_as_its_second_half_does(tmp_path: Path) -> None:
    networks = qwen_networks()
    config = peft.LoraConfig(
        r=2, lora_alpha=3, lora_bias=True, target_modules=["to_q", "to_k"], init_lora_weights=False
    )
    theirs = peft.get_peft_model(copy.deepcopy(networks["transformer"]), config)
    for name, parameter in theirs.named_parameters():
        if name.endswith("lora_B.default.bias"):
            parameter.data.copy_(random(*parameter.shape))
    path = save(tmp_path / "adapter_model.safetensors", get_peft_model_state_dict(theirs))
    config.save_pretrained(str(tmp_path))
    with torch.no_grad():
        ours = run_qwen(worn(path, networks))
        expected = run_qwen({"transformer": theirs.base_model.model})  # type: ignore[dict-item]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("key", "size", "words"),
    [
        ("attn.norm_q.w_norm", 5, "got 5 numbers in w_norm; expected 8"),
        ("attn.norm_q.b_norm", 8, "got b_norm, a change of a bias; expected none, for the layer has no bias"),
        ("attn.to_q.w_norm", 16, "got w_norm, a norm's, for a layer that is none"),
        ("attn.to_q.diff_b", 3, "got 3 numbers in diff_b; expected 16"),
        ("attn.to_q.lora_B.bias", 16, "got the bias of a second half without that half"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path: Path, key: str, size: int, words: str) -> None:
    path = save(tmp_path / "a.safetensors", {f"transformer_blocks.0.{key}": torch.ones(size)})
    with pytest.raises(LoraError, match=words):
        read_lora(path, qwen_networks())


def test_numbers_that_would_overflow_are_refused(tmp_path: Path) -> None:
    networks, layer = qwen_networks(), "transformer_blocks.0.attn.to_q"
    halves = spell(make_updates(networks, r"0\.attn\.to_q$"), "LightX2V")
    cases = {
        "lengths so large": {**halves, f"{layer}.dora_scale": torch.full((16, 1), 1e31)},
        "a bias or a norm would overflow": {f"{layer}.diff_b": torch.full((16,), 1e31)},
    }
    for words, tensors in cases.items():
        with pytest.raises(LoraError, match=words):
            read_lora(save(tmp_path / "a.safetensors", tensors), networks)

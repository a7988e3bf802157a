from __future__ import annotations

import pytest
import torch
from diffusers import QwenImageTransformer2DModel, UNet2DConditionModel
from tests.tiny_sdxl import tiny_unet
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.paint.bases.sdxl.published import UNET
from allaprima.paint.hyperlora.basis import LowRankBasis
from allaprima.paint.hyperlora.coefficients import Coefficients
from allaprima.paint.hyperlora.hypernetwork import HyperLora, HyperLoraConfig
from allaprima.paint.hyperlora.projections import attention_projections
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import delta_of

TINY = HyperLoraConfig(
    num_basis=5, id_rank=2, base_rank=1, patch_width=6, embedding_width=4, id_tokens=2, width=8, depth=1, heads=2,
    head_width=4,
)  # fmt: skip


def tiny_network(config: HyperLoraConfig = TINY) -> tuple[HyperLora, dict[str, nn.Module]]:
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {"unet": tiny_unet()}
    network = HyperLora(attention_projections(networks), config)
    for basis in network.id_basis:
        assert isinstance(basis, LowRankBasis)
        nn.init.normal_(basis.up, std=0.1)
    return network.eval().requires_grad_(False), networks


def test_published_sizes_for_sdxl() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(dict(UNET))
        network = HyperLora(attention_projections({"unet": unet}))
    assert len(network.projections) == 560
    assert network.num_coefficients == 143_360
    assert network.num_lora_parameters(network.config.id_rank) == 11_612_160
    basis = sum(parameter.numel() for parameter in network.id_basis.parameters())
    assert basis == 128 * 11_612_160
    assert sum(parameter.numel() for parameter in network.id_resampler.parameters()) == pytest.approx(
        74.7e6, rel=1e-3
    )


def test_published_sizes_for_qwen_image() -> None:
    with torch.device("meta"):
        transformer = QwenImageTransformer2DModel()
        network = HyperLora(attention_projections({"transformer": transformer}))
    assert len(network.projections) == 60 * 8
    assert network.num_coefficients == 2 * 480 * 128


def test_a_new_network_predicts_a_lora_that_changes_nothing() -> None:
    network = HyperLora(attention_projections({"unet": tiny_unet()}), TINY)
    person = network.predict(patches=torch.randn(1, 3, 6), embedding=torch.randn(1, 4))
    assert all(not delta_of(update).any() for update in network.identity_updates(person).values())


def test_coefficients_have_length_one_and_know_no_order_of_photos() -> None:
    network, _ = tiny_network()
    patches, embedding = torch.randn(3, 7, 6), torch.randn(3, 4)
    person = network.predict(patches=patches, embedding=embedding, blurred=patches)
    assert torch.allclose(person.identity.norm(dim=-1), torch.ones(()), atol=1e-4)
    assert person.base is not None
    assert torch.allclose(person.base.norm(dim=-1), torch.ones(()), atol=1e-4)
    turned = network.predict(patches=patches.flip(0), embedding=embedding.flip(0))
    assert torch.allclose(turned.identity, person.identity, atol=1e-5)


def test_a_predicted_lora_is_an_ordinary_one_to_the_rack() -> None:
    network, networks = tiny_network()
    person = network.predict(patches=torch.randn(1, 3, 6), embedding=torch.randn(1, 4))
    updates = network.identity_updates(person)
    rack = Rack(networks)
    rack.register(Lora(name="ada", updates=dict(updates)))
    path = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    layer = networks["unet"].get_submodule(path)
    assert isinstance(layer, nn.Linear)
    x = torch.randn(2, 3, layer.in_features)
    plain = layer(x)
    rack.set_adapters({"ada": 0.8})
    expected = plain + 0.8 * nn.functional.linear(x, delta_of(updates[f"unet.{path}"]))
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_photos_without_an_embedding_are_read_by_their_patches_alone() -> None:
    network, _ = tiny_network()
    patches = torch.randn(1, 3, 6)
    alone = network.predict(patches=patches)
    both = network.predict(patches=patches, embedding=torch.randn(1, 4))
    assert not torch.allclose(alone.identity, both.identity)


def test_what_a_network_cannot_read_is_refused() -> None:
    patches_only = HyperLora(
        attention_projections({"unet": tiny_unet()}),
        HyperLoraConfig(**{**vars(TINY), "embedding_width": None}),
    )
    with pytest.raises(ValueError, match="trained without"):
        patches_only.predict(patches=torch.randn(1, 3, 6), embedding=torch.randn(1, 4))
    network, _ = tiny_network(HyperLoraConfig(**{**vars(TINY), "base_rank": 0}))
    with pytest.raises(ValueError, match="predicts none"):
        network.predict(patches=torch.randn(1, 3, 6), blurred=torch.randn(1, 3, 6))
    with pytest.raises(ValueError, match="at least one with tokens"):
        network.predict()
    with pytest.raises(ValueError, match="expected"):
        network.identity_updates(Coefficients(identity=torch.zeros(3, 2, 5)))
    with pytest.raises(ValueError, match="patches or an embedding"):
        HyperLoraConfig(patch_width=None, base_rank=0, embedding_width=None)


def test_a_denoiser_without_attention_is_refused() -> None:
    with pytest.raises(LoraError, match="without an attention"):
        attention_projections({"unet": nn.Linear(2, 2), "text_encoder": nn.Linear(2, 2)})

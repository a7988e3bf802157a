"""The quick denoiser: the plain one's answer, whatever its layers wear and whoever writes to them."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from tests.tiny_loras import make_updates
from torch import Tensor, nn

from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig, with_layout
from allaprima.paint.bases.vignette.quick_denoiser import QuickDenoiser
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.runtime.side_path import Scale, SidePath, point, prepare

CONFIG = DenoiserConfig(
    latent_channels=4, layers=3, heads=2, head_width=16, text_width=24, rope_axes=(4, 6, 6)
)
TIME = torch.tensor([0.7, 0.7])


@pytest.fixture
def denoiser() -> Denoiser:
    model = Denoiser(CONFIG).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.transformer.lay_side_by_side()
    return model.requires_grad_(False)


def inputs(
    height: int = 8, width: int = 12, length: int = 5, *, masked: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length // 2 :] = False
    latents = torch.randn(2, 4, height, width, generator=generator)
    return latents, torch.randn(2, length, 24, generator=generator), mask if masked else None


def plain(denoiser: Denoiser, latents: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    """As training computes it."""
    with torch.no_grad():
        velocity: Tensor = denoiser(latents, TIME, states, mask)
    return velocity


def quick(
    denoiser: QuickDenoiser, latents: Tensor, states: Tensor, mask: Tensor | None, t: Tensor = TIME
) -> Tensor:
    with torch.inference_mode():
        return denoiser(latents, t, states, mask)


def layer_named(denoiser: Denoiser, name: str) -> nn.Linear:
    layer = denoiser.transformer.transformer_blocks[1].get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("height", "width", "length"), [(8, 12, 5), (2, 2, 1), (4, 6, 9)])
def test_the_quick_way_is_the_plain_way(
    denoiser: Denoiser, height: int, width: int, length: int, masked: bool
) -> None:
    given = inputs(height, width, length, masked=masked)
    answer = quick(QuickDenoiser(denoiser), *given)
    torch.testing.assert_close(answer, plain(denoiser, *given), rtol=1e-4, atol=1e-5)


def test_a_layout_is_read_the_same_way(denoiser: Denoiser) -> None:
    reader = with_layout(denoiser, 6).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    reader.transformer.img_in.weight[:, 16:] = torch.randn(32, 24, generator=generator)
    reader.transformer.lay_side_by_side()
    latents, states, mask = inputs(masked=True)
    layout = torch.randn(2, 6, 8, 12, generator=generator)
    for given in (layout, None):
        with torch.inference_mode():
            answer = QuickDenoiser(reader)(latents, TIME, states, mask, given)
            torch.testing.assert_close(
                answer, reader(latents, TIME, states, mask, given), rtol=1e-4, atol=1e-5
            )


def test_weights_that_lie_apart_do_as_well(denoiser: Denoiser) -> None:
    apart = deepcopy(denoiser)
    for parameter in apart.parameters():
        parameter.data = parameter.data.clone()
    given = inputs()
    torch.testing.assert_close(
        quick(QuickDenoiser(apart), *given), quick(QuickDenoiser(denoiser), *given), rtol=1e-4, atol=1e-5
    )


def test_times_that_differ_go_the_plain_way(denoiser: Denoiser) -> None:
    mixed, given = torch.tensor([0.2, 0.9]), inputs()
    with torch.no_grad():
        expected = denoiser(given[0], mixed, given[1])
    answer = quick(QuickDenoiser(denoiser), *given, t=mixed)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["attn.to_q", "attn.add_v_proj", "attn.to_out.0", "img_mlp.net.0.proj", "txt_mlp.net.2", "img_mod.1"],
)
def test_a_lora_is_heard_beside_the_weights_and_in_them(denoiser: Denoiser, name: str) -> None:
    way, given = QuickDenoiser(denoiser), inputs()
    layer = layer_named(denoiser, name)
    without = quick(way, *given)
    down, up = 0.5 * torch.ones(1, layer.in_features), torch.ones(layer.out_features, 1)
    prepare(layer)
    point(layer, SidePath(down=down, up=up, scale=None))
    beside = quick(way, *given)
    torch.testing.assert_close(beside, plain(denoiser, *given), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(beside, without, atol=1e-3)
    point(layer, None)
    assert torch.equal(quick(way, *given), without)
    layer.weight += up @ down
    merged = quick(way, *given)
    torch.testing.assert_close(merged, beside, rtol=1e-3, atol=1e-4)
    layer.weight -= up @ down
    torch.testing.assert_close(quick(way, *given), without, rtol=1e-3, atol=1e-4)


def test_layers_computed_as_one_hear_each_its_own_change(denoiser: Denoiser) -> None:
    way, given = QuickDenoiser(denoiser), inputs()
    draw = torch.Generator().manual_seed(3)
    for name in ("attn.to_q", "attn.to_k", "attn.add_v_proj"):
        layer = layer_named(denoiser, name)
        prepare(layer)
        down = torch.randn(3, layer.in_features, generator=draw)
        up = torch.randn(layer.out_features, 3, generator=draw)
        delta = torch.randn(layer.weight.shape, generator=draw)
        scale = Scale(torch.tensor([1.0, 0.5, 0.0]), plain=False)
        side = {
            "attn.to_q": SidePath(down=down, up=up, scale=scale),
            "attn.to_k": SidePath(down=None, up=None, scale=None, dense=((delta, torch.tensor(0.5)),)),
            "attn.add_v_proj": SidePath(down=down, up=up, scale=None, dense=((delta, torch.tensor(-0.5)),)),
        }
        point(layer, side[name])
    torch.testing.assert_close(quick(way, *given), plain(denoiser, *given), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("keep_addresses", [False, True])
def test_every_merge_is_heard(denoiser: Denoiser, keep_addresses: bool) -> None:
    """A second merge writes to where the first one's weights are, on the layers of the time too."""
    modules: dict[str, nn.Module] = {"transformer": denoiser.transformer}
    way, given = QuickDenoiser(denoiser), inputs()
    rack = Rack(modules, keep_addresses=keep_addresses)
    for name, pattern in (("a", r"linear_[12]|_mod|norm_out"), ("b", r"_mod|attn|mlp")):
        rack.register(Lora(name=name, updates={**make_updates(modules, pattern)}))
    without = quick(way, *given)
    wishes: list[dict[str, float]] = [
        {"a": 0.1},
        {"a": 0.5},
        {"b": 0.5},
        {"a": 0.1, "b": 0.5},
        {},
        {"a": 0.3},
        {},
    ]
    for wanted in wishes:
        rack.set_adapters(wanted)
        beside = plain(denoiser, *given)
        rack.merge()
        assert rack.merged == bool(wanted)
        torch.testing.assert_close(quick(way, *given), beside, rtol=1e-3, atol=1e-4)
    assert torch.equal(quick(way, *given), without)


def test_weights_put_elsewhere_are_found(denoiser: Denoiser) -> None:
    way, given = QuickDenoiser(denoiser), inputs()
    before = quick(way, *given)
    for parameter in denoiser.parameters():
        parameter.data = parameter.data * 0.5
    after = quick(way, *given)
    torch.testing.assert_close(after, plain(denoiser, *given), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_hooks_are_called(denoiser: Denoiser) -> None:
    way, given, called = QuickDenoiser(denoiser), inputs(), list[str]()
    quick(way, *given)
    layer_named(denoiser, "attn.to_k").register_forward_hook(lambda *_: called.append("to_k"))
    quick(way, *given)
    assert called == ["to_k"]


def doubled(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> object:
    return 2.0 * output if isinstance(output, Tensor) else tuple(2.0 * part for part in output)


@pytest.mark.parametrize(
    "name",
    ["", "transformer", "transformer.time_text_embed", "transformer.norm_out"]
    + [f"transformer.transformer_blocks.1{part}" for part in ("", ".attn", ".attn.norm_k", ".img_mlp.net.0")],
)
def test_a_hook_on_more_than_a_layer_is_heard_while_it_is_there(denoiser: Denoiser, name: str) -> None:
    way, given = QuickDenoiser(denoiser), inputs()
    without = quick(way, *given)
    with denoiser.get_submodule(name).register_forward_hook(doubled):
        heard = quick(way, *given)
        torch.testing.assert_close(heard, plain(denoiser, *given), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(heard, without, atol=1e-3)
    assert torch.equal(quick(way, *given), without)


def test_half_precision_stays_what_it_is(denoiser: Denoiser) -> None:
    latents, states, _ = inputs()
    denoiser.to(torch.bfloat16)
    given = latents.bfloat16(), states.bfloat16(), None
    answer = quick(QuickDenoiser(denoiser), *given, t=TIME.bfloat16())
    assert answer.dtype == torch.bfloat16
    with torch.no_grad():
        expected = denoiser(given[0], TIME.bfloat16(), given[1])
    assert (answer - expected).float().norm() < 0.05 * expected.float().norm()


@pytest.mark.parametrize("kind", ["bias", "norm", "both"])
def test_changed_biases_and_norms_are_heard_after_a_lora_beside_the_weights(
    denoiser: Denoiser, kind: str
) -> None:
    fast, given = QuickDenoiser(denoiser), inputs()
    rack = Rack({"transformer": denoiser.transformer})
    at = "transformer.transformer_blocks.1.attn"
    keys = {"bias": [f"{at}.to_q.bias"], "norm": [f"{at}.norm_q.weight"]}
    keys["both"] = keys["bias"] + keys["norm"]
    vectors = {
        key: torch.ones_like(denoiser.transformer.get_parameter(key.removeprefix("transformer.")))
        for key in keys[kind]
    }
    rack.register(
        Lora(name="beside", updates={**make_updates({"transformer": denoiser.transformer}, "1.attn.to_q$")})
    )
    rack.register(Lora(name="vectors", updates={}, vectors=vectors))
    before = quick(fast, *given)
    for worn in ("beside", "vectors", "beside"):
        rack.set_adapters({worn: 1.0})
        torch.testing.assert_close(quick(fast, *given), plain(denoiser, *given), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(quick(fast, *given), before, atol=1e-4)
    rack.set_adapters({})
    assert torch.equal(quick(fast, *given), before)

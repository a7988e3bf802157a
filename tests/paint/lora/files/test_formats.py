from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_pipeline import QwenImageLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tests import tiny_loras
from tests.tiny_loras import (
    ATTENTION,
    DENOISER_ONLY,
    SDXL_ONLY,
    SPELLINGS,
    Networks,
    changed,
    deltas_of,
    make_updates,
    qwen_networks,
    save,
    sdxl_networks,
    spell,
)
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.algebra import scaled
from allaprima.paint.lora.files.dialects import BEGINNINGS, ENDINGS
from allaprima.paint.lora.files.formats import Dense, Lora, LoraMetadata, LowRank, read_lora, write_lora
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.update import delta_of

FAMILIES = {"sdxl": sdxl_networks, "qwen-image": qwen_networks}
CASES = [
    (family, dialect)
    for family in FAMILIES
    for dialect in SPELLINGS
    if family == "sdxl" or dialect not in SDXL_ONLY
    if family == "qwen-image" or dialect != "OneTrainer"
]


def layers_for(family: str, dialect: str) -> str:
    """Return the pattern of the layers that a dialect can name."""
    if family == "qwen-image":
        return r"\.(to_\w+|to_out\.0|\w+_proj|img_mod\.1|net\.0\.proj|net\.2)$|img_in|norm_out\.linear"
    return r"^unet.*attn\d\.(to_[qkv]|to_out\.0)$" if dialect in DENOISER_ONLY else ATTENTION


def same(got: Lora, updates: Mapping[str, LowRank]) -> None:
    assert got.updates.keys() == updates.keys()
    for key, update in got.updates.items():
        assert isinstance(update, LowRank)
        assert torch.equal(update.down, updates[key].down), key
        assert torch.equal(scaled(update.up, update.scale), updates[key].up), key


@pytest.mark.parametrize(("family", "dialect"), CASES)
def test_every_dialect_reads_to_the_same_updates(tmp_path: Path, family: str, dialect: str) -> None:
    networks = FAMILIES[family]()
    updates = make_updates(networks, layers_for(family, dialect))
    lora = read_lora(save(tmp_path / "ink.safetensors", spell(updates, dialect)), networks, family=family)
    same(lora, updates)
    assert lora.unmatched == ()
    assert lora.name == "ink"


def test_every_dialect_of_the_table_is_spelled_in_these_tests() -> None:
    assert {"diffusers", "kohya", "PEFT", "ComfyUI", "OneTrainer", "LyCORIS", "plain"} == {
        row[0] for row in BEGINNINGS
    }
    assert {role for _, role in ENDINGS} == {"down", "up", "mid", "alpha", "hada", "lokr", "diff"}


@pytest.mark.parametrize("dialect", [name for name, spelling in SPELLINGS.items() if spelling[3]])
def test_alpha_is_folded_in(tmp_path: Path, dialect: str) -> None:
    networks = qwen_networks() if dialect not in SDXL_ONLY else sdxl_networks()
    updates = make_updates(networks, r"attn1?\.to_q$", rank=64)
    lora = read_lora(save(tmp_path / "a.safetensors", spell(updates, dialect, alpha=8)), networks)
    same(lora, updates)  # 8 / 64 is a power of two, so nothing was rounded
    without = {key: tensor for key, tensor in spell(updates, dialect, alpha=8).items() if "alpha" not in key}
    eight_times = read_lora(save(tmp_path / "b.safetensors", without), networks)
    for key, update in eight_times.updates.items():
        assert torch.equal(delta_of(update), delta_of(updates[key]) * 8)


def test_a_scale_that_would_round_in_half_precision_is_kept_in_float32(tmp_path: Path) -> None:
    updates = make_updates(qwen_networks(), r"0\.attn\.to_q$", rank=3)
    key = next(iter(updates))
    half = {name: tensor.half() for name, tensor in spell(updates, "LightX2V").items()}
    name = key.removeprefix("transformer.")
    half[f"{name}.alpha"] = torch.tensor(2.0)
    update = read_lora(save(tmp_path / "a.safetensors", half), qwen_networks()).updates[key]
    assert isinstance(update, LowRank)
    assert (update.down.dtype, update.up.dtype) == (torch.float16, torch.float16)
    assert torch.equal(scaled(update.up, update.scale), half[f"{name}.lora_up.weight"].float() * (2.0 / 3))


# What other libraries compute with the file they are at home with.


def through_diffusers(mixin: type, networks: Networks, tensors: dict[str, Tensor]) -> Networks:
    """Return copies of the networks with the file loaded by diffusers."""
    copies = changed(networks, {})
    if "unet" in copies:
        state, alphas = mixin.lora_state_dict(dict(tensors), unet_config=copies["unet"].config)  # type: ignore[attr-defined]
        mixin.load_lora_into_unet(state, network_alphas=alphas, unet=copies["unet"])  # type: ignore[attr-defined]
        for name in ("text_encoder", "text_encoder_2"):
            if any(key.startswith(f"{name}.") for key in state):
                mixin.load_lora_into_text_encoder(  # type: ignore[attr-defined]
                    state, network_alphas=alphas, text_encoder=copies[name], prefix=name
                )
    else:
        state = mixin.lora_state_dict(dict(tensors))  # type: ignore[attr-defined]
        mixin.load_lora_into_transformer(state, transformer=copies["transformer"])  # type: ignore[attr-defined]
    return copies


@pytest.mark.parametrize(
    ("family", "dialect", "pattern"),
    [
        ("sdxl", "diffusers", ATTENTION),
        ("sdxl", "diffusers", r"^unet.*(conv\d?|conv_shortcut|time_emb_proj|proj_in|net\.2)$"),
        ("sdxl", "kohya, SDXL", ATTENTION),
        ("qwen-image", "diffusers", r"attn|mlp|mod"),
        ("qwen-image", "kohya", r"attn\.to_|img_mod"),
        ("qwen-image", "LightX2V", r"attn|mlp"),
        ("qwen-image", "diffusion_model", r"attn|mlp"),
    ],
)
def test_pictures_equal_those_of_diffusers(tmp_path: Path, family: str, dialect: str, pattern: str) -> None:
    networks = FAMILIES[family]()
    has_alpha = SPELLINGS[dialect][3]
    tensors = spell(make_updates(networks, pattern, rank=4), dialect, alpha=1.0 if has_alpha else None)
    lora = read_lora(save(tmp_path / "a.safetensors", tensors), networks)
    run: Callable[[Networks], Tensor] = tiny_loras.run_sdxl if family == "sdxl" else tiny_loras.run_qwen
    mixin = StableDiffusionXLLoraLoaderMixin if family == "sdxl" else QwenImageLoraLoaderMixin
    with torch.inference_mode():
        plain = run(networks)
        ours = run(changed(networks, {key: delta_of(update) for key, update in lora.updates.items()}))
        theirs = run(through_diffusers(mixin, networks, tensors))
    assert (plain - ours).abs().max() > 0.01, "the LoRA is too weak to tell"
    assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=2, target_modules=["to_q", "conv1"]),
        LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=["to_q", "proj_in"]),
        LoraConfig(
            r=4,
            lora_alpha=4,
            target_modules=["to_q", "to_k"],
            rank_pattern={"attn2.to_k": 2},
            alpha_pattern={"to_k": 1},
        ),
        LoraConfig(
            r=4,
            lora_alpha=4,
            target_modules=["to_q", "to_k", "to_v", "conv1"],
            rank_pattern={r".*attn2\.to_q": 2, r"up_blocks\.(0|1)\..*to_v": 3},
            alpha_pattern={
                r"^(down|mid)_blocks?\.\d+\.resnets\.[01]\.conv1$": 2,
                r"attn1.to_(q|k)": 8,
                "to_q": 1,
                "to_k|conv1": 12,
            },
        ),
        LoHaConfig(r=4, alpha=2, target_modules=["to_q", "conv1"]),
        LoHaConfig(r=4, alpha=2, target_modules=["conv1"], use_effective_conv2d=True),
        LoKrConfig(r=2, alpha=4, target_modules=["to_q", "conv1"]),
        LoKrConfig(r=2, alpha=2, target_modules=["conv1"], use_effective_conv2d=True, decompose_both=True),
    ],
    ids=lambda config: f"{config.peft_type.value}-{'-'.join(sorted(config.target_modules))}",
)
def test_folders_of_peft_mean_what_peft_makes_of_them(tmp_path: Path, config: LoraConfig) -> None:
    networks = {"unet": sdxl_networks()["unet"]}
    model = get_peft_model(changed(networks, {})["unet"], config)
    draw = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=draw) / 3
    model.save_pretrained(str(tmp_path / "style"))
    lora = read_lora(tmp_path / "style", networks)
    assert lora.name == "style"
    merged = model.merge_and_unload()
    touched = 0
    for path, layer in networks["unet"].named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        folded = merged.get_submodule(path)
        assert isinstance(folded, nn.Linear | nn.Conv2d)
        moved = folded.weight - layer.weight
        update = lora.updates.get(f"unet.{path}")
        expected = torch.zeros_like(moved) if update is None else delta_of(update)
        assert torch.allclose(expected, moved, atol=1e-5), path
        touched += update is not None
    assert touched == len(lora.updates) > 0


def test_patterns_for_text_encoders_hold_whichever_version_wrote_them(tmp_path: Path) -> None:
    layers = [f"{version}encoder.layers.0.self_attn.q_proj" for version in ("text_model.", "")]
    updates = make_updates(sdxl_networks(), r"attn2\.to_q$|self_attn\.q_proj$", rank=2)
    for pattern in layers + [f"^{layer}" for layer in layers]:
        said = {
            "text_encoder.r": 2,
            "text_encoder.lora_alpha": 2,
            "text_encoder.alpha_pattern": {pattern: 16},
        }
        said |= {key.replace("encoder.", "encoder_2.", 1): value for key, value in said.items()}
        path = save(
            tmp_path / "a.safetensors",
            spell(updates, "diffusers"),
            {"lora_adapter_metadata": json.dumps(said)},
        )
        lora = read_lora(path, sdxl_networks())
        assert lora.unmatched == ()
        for key, update in lora.updates.items():
            assert isinstance(update, LowRank)
            assert update.scale == (8 if "layers.0.self_attn" in key else 1), (pattern, key)


def test_patterns_that_match_no_layer_are_named(tmp_path: Path) -> None:
    patterns = {"to_q": 16, "attn7.to_q": 4, r".*\.99\..*": 4, "self_attn.q_proj": 2}
    config = json.dumps({"r": 2, "lora_alpha": 2, "alpha_pattern": patterns, "rank_pattern": {"to_x": 3}})
    updates = make_updates(sdxl_networks(), r"attn2\.to_q$", rank=2)
    path = save(tmp_path / "a.safetensors", spell(updates, "diffusers"), {"adapter_config": config})
    assert read_lora(path, sdxl_networks()).unmatched == (
        "alpha_pattern attn7.to_q",
        r"alpha_pattern .*\.99\..*",
        "rank_pattern to_x",
    )


# Methods that peft does not write as other programs do.


def layer_shape(key: str) -> tuple[int, ...]:
    return Layers(sdxl_networks()).by_key[key].shape


CONV = "unet.down_blocks.0.resnets.0.conv1"
LINEAR = "unet.down_blocks.1.attentions.0.proj_in"


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def read_one(tmp_path: Path, key: str, parts: dict[str, Tensor]) -> Tensor:
    """Return the change that kohya-named tensors make of one layer."""
    named = {
        f"lora_unet_{key.removeprefix('unet.').replace('.', '_')}.{part}": t for part, t in parts.items()
    }
    lora = read_lora(save(tmp_path / "one.safetensors", named), sdxl_networks())
    assert list(lora.updates) == [key]
    return delta_of(lora.updates[key])


def test_locon_with_a_core(tmp_path: Path) -> None:
    down, mid, up = random(3, 8, 1, 1), random(3, 3, 3, 3), random(8, 3, 1, 1)
    parts = {
        "lora_down.weight": down,
        "lora_mid.weight": mid,
        "lora_up.weight": up,
        "alpha": torch.tensor(1.5),
    }
    layers = [nn.Conv2d(8, 3, 1, bias=False), nn.Conv2d(3, 3, 3, bias=False), nn.Conv2d(3, 8, 1, bias=False)]
    for layer, weight in zip(layers, (down, mid, up), strict=True):
        layer.weight.data = weight
    x = random(1, 8, 6, 6)
    delta = read_one(tmp_path, CONV, parts)
    assert torch.allclose(torch.nn.functional.conv2d(x, delta), nn.Sequential(*layers)(x) / 2, atol=1e-4)


def test_loha_with_and_without_cores(tmp_path: Path) -> None:
    a, b, c, d = random(16, 2), random(2, 16), random(16, 2) * 2, random(2, 16) * 3
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d, "alpha": torch.tensor(1.0)}
    assert torch.allclose(read_one(tmp_path, LINEAR, parts), (a @ b) * (c @ d) / 2, atol=1e-5)

    flat = {
        "hada_w1_a": random(8, 2),
        "hada_w1_b": random(2, 72),
        "hada_w2_a": random(8, 2),
        "hada_w2_b": random(2, 72),
    }
    product = (flat["hada_w1_a"] @ flat["hada_w1_b"]) * (flat["hada_w2_a"] @ flat["hada_w2_b"])
    assert torch.allclose(read_one(tmp_path, CONV, flat), product.view(8, 8, 3, 3), atol=1e-5)

    t, a, b = random(2, 2, 3, 3), random(2, 8), random(2, 8) * 2
    cored = {"hada_t1": t, "hada_t2": t, "hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": a, "hada_w2_b": b}
    factor = torch.zeros(8, 8, 3, 3)
    for i in range(2):
        for j in range(2):
            factor += t[i, j] * a[i][:, None, None, None] * b[j][None, :, None, None]
    assert torch.allclose(read_one(tmp_path, CONV, cored), factor**2, atol=1e-4)


def test_lokr_whole_and_in_factors(tmp_path: Path) -> None:
    w1, w2 = random(4, 2), random(4, 8)
    whole = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(1e9)}  # LyCORIS writes nonsense there
    assert torch.allclose(read_one(tmp_path, LINEAR, whole), torch.kron(w1, w2))

    a, b = random(4, 2), random(2, 8)
    halves = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}
    assert torch.allclose(read_one(tmp_path, LINEAR, halves), torch.kron(w1, a @ b) / 2, atol=1e-5)

    t, a, b = random(2, 2, 3, 3), random(2, 4), random(2, 4)
    cored = {"lokr_w1": random(2, 2), "lokr_t2": t, "lokr_w2_a": a, "lokr_w2_b": b}
    second = torch.einsum("ijkl,io,jn->onkl", t, a, b).contiguous()
    expected = torch.kron(random(2, 2)[..., None, None], second)
    assert torch.allclose(read_one(tmp_path, CONV, cored), expected, atol=1e-5)


def test_a_whole_difference(tmp_path: Path) -> None:
    assert torch.equal(read_one(tmp_path, CONV, {"diff": random(8, 8, 3, 3)}), random(8, 8, 3, 3))


def test_a_pointwise_convolution_may_stand_for_a_linear_layer(tmp_path: Path) -> None:
    parts = {"lora_down.weight": random(2, 16, 1, 1), "lora_up.weight": random(16, 2, 1, 1)}
    expected = random(16, 2) @ random(2, 16)
    got = read_one(tmp_path, LINEAR, parts)
    assert got.shape == expected.shape


# What other programs call the layers that are no attention; the names are those of published SDXL files.


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "input_blocks_0_0": "conv_in",
        "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
        "input_blocks_2_0_emb_layers_1": "down_blocks.0.resnets.1.time_emb_proj",
        "input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
        "input_blocks_5_1_proj_out": "down_blocks.1.attentions.1.proj_out",
        "input_blocks_8_1_transformer_blocks_1_ff_net_0_proj": (
            "down_blocks.2.attentions.1.transformer_blocks.1.ff.net.0.proj"
        ),
        "middle_block_0_out_layers_3": "mid_block.resnets.0.conv2",
        "middle_block_1_proj_in": "mid_block.attentions.0.proj_in",
        "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
        "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
        "output_blocks_5_1_proj_in": "up_blocks.1.attentions.2.proj_in",
        "output_blocks_8_0_skip_connection": "up_blocks.2.resnets.2.conv_shortcut",
        "label_emb_0_0": "add_embedding.linear_1",
        "time_embed_2": "time_embedding.linear_2",
        "out_2": "conv_out",
    }.items(),
)
def test_names_of_stabilitys_own_unet(tmp_path: Path, theirs: str, ours: str) -> None:
    shape = layer_shape(f"unet.{ours}")
    halves = {
        f"lora_unet_{theirs}.lora_down.weight": random(2, *shape[1:]),
        f"lora_unet_{theirs}.lora_up.weight": random(shape[0], 2, *(1 for _ in shape[2:])),
    }
    lora = read_lora(save(tmp_path / "a.safetensors", halves), sdxl_networks())
    assert list(lora.updates) == [f"unet.{ours}"]


# Writing.


@pytest.mark.parametrize("layout", ["diffusers", "kohya"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_reads_back(tmp_path: Path, family: str, layout: str) -> None:
    assert layout in {"diffusers", "kohya"}
    networks = FAMILIES[family]()
    metadata = LoraMetadata(
        family=family, base_hash="ab" * 32, sigmas=(1.0, 0.75, 0.0), schedule="lightning", steps=4, guidance=1.0,
        trigger_words=("fcsks", "fxhks fhyks"), license="Apache-2.0", commit="0123abc",
    )  # fmt: skip
    lora = Lora(name="墨 ink", updates=dict(make_updates(networks, ".", rank=3)), metadata=metadata)
    path = write_lora(tmp_path / "a.safetensors", lora, layout, base_modules=networks)  # type: ignore[arg-type]
    again = read_lora(path, networks, name=lora.name, family=family)
    same(again, {key: update for key, update in lora.updates.items() if isinstance(update, LowRank)})
    assert again.unmatched == ()
    told = {name: getattr(again.metadata, name) for name in metadata.__dataclass_fields__ if name != "raw"}
    assert told == {name: getattr(metadata, name) for name in told}
    raw = again.metadata.raw
    assert raw["ss_network_dim"] == raw["ss_network_alpha"] == "3"
    assert raw["modelspec.title"] == "墨 ink"
    assert raw["modelspec.architecture"].endswith("/lora")
    assert json.loads(raw["allaprima.ranks"]) == {"3": len(lora.updates)}
    second = write_lora(tmp_path / "b.safetensors", again, layout, base_modules=networks)  # type: ignore[arg-type]
    assert load_file(second).keys() == load_file(path).keys()
    assert read_header(second).metadata == raw


def test_kohya_names_sdxl_as_its_scripts_do(tmp_path: Path) -> None:
    updates = make_updates(sdxl_networks(), ATTENTION)
    lora = Lora(name="a", updates=dict(updates))
    path = write_lora(tmp_path / "a.safetensors", lora, "kohya", base_modules=sdxl_networks())
    assert load_file(path).keys() == spell(updates, "kohya, SDXL").keys()
    plain = write_lora(tmp_path / "b.safetensors", lora, "kohya")
    assert load_file(plain).keys() == spell(updates, "kohya").keys()


def test_whole_matrices_have_a_name_in_kohya_alone(tmp_path: Path) -> None:
    lora = Lora(name="whole", updates={LINEAR: Dense(delta=random(16, 16))})
    path = write_lora(tmp_path / "a.safetensors", lora, "kohya", base_modules=sdxl_networks())
    assert torch.equal(delta_of(read_lora(path, sdxl_networks()).updates[LINEAR]), random(16, 16))
    with pytest.raises(LoraError, match="expected layout kohya"):
        write_lora(tmp_path / "b.safetensors", lora)
    assert not (tmp_path / "b.safetensors").exists()


def test_a_shorter_dtype_is_stored_where_asked(tmp_path: Path) -> None:
    updates = make_updates(qwen_networks(), r"0\.attn\.to_q$")
    path = write_lora(tmp_path / "a.safetensors", Lora(name="a", updates=dict(updates)), dtype=torch.bfloat16)
    (update,) = read_lora(path, qwen_networks()).updates.values()
    assert isinstance(update, LowRank)
    assert update.down.dtype == update.up.dtype == torch.bfloat16


def test_diffusers_reads_what_is_written(tmp_path: Path) -> None:
    networks = qwen_networks()
    updates = {**make_updates(networks, r"to_q$", rank=4), **make_updates(networks, r"to_k$", rank=2)}
    path = write_lora(tmp_path / "a.safetensors", Lora(name="a", updates=dict(updates)))
    with torch.inference_mode():
        ours = tiny_loras.run_qwen(changed(networks, deltas_of(updates)))
        theirs = tiny_loras.run_qwen(through_diffusers(QwenImageLoraLoaderMixin, networks, load_file(path)))
    assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4)
    assert not isinstance(networks["transformer"], PeftModel)

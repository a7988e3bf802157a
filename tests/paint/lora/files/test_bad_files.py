"""Files that must be refused: always in a sentence, and with every weight of the base as it was."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as to_bytes
from tests.tiny_loras import make_updates, qwen_networks, sdxl_networks, spell
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.files.formats import Lora, read_lora
from allaprima.paint.lora.files.header import MAX_HEADER_BYTES
from allaprima.paint.lora.files.trained_settings import remarks_on_unused

NETWORKS = qwen_networks()
TENSORS = spell(make_updates(NETWORKS, r"0\.attn\.to_[qk]$"), "LightX2V")
GOOD = to_bytes(TENSORS, {"format": "pt"})
HEADER_BYTES = struct.unpack("<Q", GOOD[:8])[0]
HEADER: dict[str, Any] = json.loads(GOOD[8 : 8 + HEADER_BYTES])
DATA = GOOD[8 + HEADER_BYTES :]
Q_DOWN = "transformer_blocks.0.attn.to_q.lora_down.weight"
Q_UP = "transformer_blocks.0.attn.to_q.lora_up.weight"
Q_ALPHA = "transformer_blocks.0.attn.to_q.alpha"
BEFORE = {name: tensor.clone() for name, tensor in NETWORKS["transformer"].state_dict().items()}


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    yield
    assert all(
        torch.equal(tensor, BEFORE[name]) for name, tensor in NETWORKS["transformer"].state_dict().items()
    )


def assembled(header: object, data: bytes = DATA) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_entry(name: str = Q_DOWN, **changes: Any) -> bytes:
    return assembled({**HEADER, name: {**HEADER[name], **changes}})


def with_tensors(*left_out: str, **changed: Tensor) -> bytes:
    """Return the good file with some tensors left out or changed, `__` standing for a dot."""
    kept = {name: tensor for name, tensor in TENSORS.items() if name not in left_out}
    return to_bytes({**kept, **{name.replace("__", "."): tensor for name, tensor in changed.items()}})


def refused(path: Path, data: bytes, words: str = ".") -> str:
    path.write_bytes(data)
    with pytest.raises(LoraError, match=words) as caught:
        read_lora(path, NETWORKS)
    message = str(caught.value)
    assert "\n" not in message
    assert 20 < len(message) < 1200
    return message


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(GOOD)
    assert len(read_lora(path, NETWORKS).updates) == 2


# Cut short: at every byte of the beginning, around every tensor, and all over the header.

BORDERS = sorted(
    {8 + HEADER_BYTES + at for entry in HEADER.values() if "shape" in entry for at in entry["data_offsets"]}
)
CUTS = sorted(
    {
        *range(11),
        *range(8, 8 + HEADER_BYTES, 23),
        *(b + d for b in BORDERS for d in (-1, 0, 1)),
        len(GOOD) - 1,
    }
    - {len(GOOD), len(GOOD) + 1}
)


@pytest.mark.parametrize("cut", CUTS)
def test_cut_short(tmp_path: Path, cut: int) -> None:
    refused(tmp_path / "a.safetensors", GOOD[:cut])


LENGTHS = [
    0, 1, HEADER_BYTES - 8, HEADER_BYTES + 1, HEADER_BYTES + 8, len(GOOD) - 8, len(GOOD), 2**20, MAX_HEADER_BYTES,
]  # fmt: skip
LENGTHS += [MAX_HEADER_BYTES + 1, 100_000_000, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_header_of_another_length(tmp_path: Path, length: int) -> None:
    refused(tmp_path / "a.safetensors", struct.pack("<Q", length) + GOOD[8:])


def test_a_header_larger_than_any_lora_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:  # holes in the file: it takes no room
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(MAX_HEADER_BYTES + 1000)
    with pytest.raises(LoraError, match="header of"):
        read_lora(path, NETWORKS)


HEADERS: dict[str, bytes] = {
    "no JSON": b"{" + b"x" * 40 + b"}",
    "JSON cut short": json.dumps(HEADER).encode()[:-9],
    "a list": b"[1, 2, 3]    ",
    "a number": b"12345678",
    "null": b"null    ",
    "not UTF-8": b'{"\xff\xfe": 1}',
    "nested too deep": b"[" * 100_000,
    "an endless number": b'{"a": ' + b"9" * 5000 + b"}",
    "metadata that are a list": json.dumps({**HEADER, "__metadata__": ["a"]}).encode(),
    "metadata that are numbers": json.dumps({**HEADER, "__metadata__": {"a": 1}}).encode(),
    "a key twice": json.dumps(HEADER).encode()[:-1] + b"," + json.dumps({Q_UP: HEADER[Q_UP]}).encode()[1:],
    "a field twice": json.dumps(HEADER).encode().replace(b'"dtype"', b'"dtype": "F32", "dtype"', 1),
    "no tensor": b'{"__metadata__": {}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is(tmp_path: Path, name: str) -> None:
    refused(tmp_path / "a.safetensors", assembled(HEADERS[name]))


BEGIN, END = HEADER[Q_DOWN]["data_offsets"]
DTYPES: list[object] = [
    "F33", "", "f32", "BOOL", "U8", "I8", "I64", "C64", "F16", "F64", None, 5, ["F32"], {},
]  # fmt: skip
SHAPES_SAID: list[object] = [
    [], [2], [16, 2, 1, 2], [-2, -16], [2.0, 16], ["2", 16], None, 32, [0, 16], [True, 32], [2**70, 1], [1] * 40,
    [2, None], {"0": 2}, [2**40, 2**40],
]  # fmt: skip
OFFSETS: list[object] = [
    [], [BEGIN], [BEGIN, END, END], [END, BEGIN], [-1, END], [BEGIN, END + 4], [BEGIN + 4, END + 4], [BEGIN, 2**62],
    [0.0, 1.0], None, "ab", [BEGIN, BEGIN],
]  # fmt: skip
ENTRIES = [
    *({"dtype": dtype} for dtype in DTYPES),
    *({"shape": shape} for shape in SHAPES_SAID),
    *({"data_offsets": offsets} for offsets in OFFSETS),
    {"extra": 1},
]


@pytest.mark.parametrize("changes", ENTRIES, ids=str)
def test_a_tensor_announced_with(tmp_path: Path, changes: dict[str, Any]) -> None:
    refused(tmp_path / "a.safetensors", with_entry(**changes))


@pytest.mark.parametrize("field", ["dtype", "shape", "data_offsets"])
def test_a_tensor_announced_without(tmp_path: Path, field: str) -> None:
    entry = {key: value for key, value in HEADER[Q_DOWN].items() if key != field}
    refused(tmp_path / "a.safetensors", assembled({**HEADER, Q_DOWN: entry}))


@pytest.mark.parametrize("entry", [None, 1, [], "F32", {}, True], ids=str)
def test_a_tensor_announced_as(tmp_path: Path, entry: object) -> None:
    refused(tmp_path / "a.safetensors", assembled({**HEADER, Q_DOWN: entry}))


def test_tensors_that_share_bytes_or_leave_some(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    refused(
        path, assembled({**HEADER, Q_UP: {**HEADER[Q_UP], "data_offsets": HEADER[Q_DOWN]["data_offsets"]}})
    )
    refused(path, GOOD + bytes(4))
    refused(path, assembled({key: value for key, value in HEADER.items() if key != Q_UP}))


# Numbers.


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("at", [0, 17, 31])
def test_not_finite(tmp_path: Path, bad: float, dtype: torch.dtype, at: int) -> None:
    tensor = TENSORS[Q_DOWN].to(dtype).clone()
    tensor.view(-1)[at] = bad
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_DOWN: tensor}), "NaN or infinity")


@pytest.mark.parametrize("name", [Q_DOWN, Q_UP])
@pytest.mark.parametrize("bits", [0x7F, 0xFF])
def test_not_finite_in_eight_bits(tmp_path: Path, name: str, bits: int) -> None:
    tensor = TENSORS[name].to(torch.float8_e4m3fn)
    tensor.view(torch.uint8).view(-1)[5] = bits
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, name: tensor}), "NaN or infinity")


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 1e35, -1e38])
def test_an_alpha_out_of_reach(tmp_path: Path, alpha: float) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_ALPHA: torch.tensor(alpha)}))


def test_an_alpha_of_several_numbers(tmp_path: Path) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_ALPHA: torch.ones(2)}), "expected one number")


def test_halves_whose_product_overflows(tmp_path: Path) -> None:
    huge = {Q_DOWN: TENSORS[Q_DOWN] * 1e30, Q_UP: TENSORS[Q_UP] * 1e30}
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, **huge}), "overflow")


# Shapes and parts.

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 17), (16, 2)), ((2, 16), (17, 2)), ((3, 16), (16, 2)), ((2, 16), (16, 3)), ((16, 2), (2, 16)),
    ((2,), (16, 2)), ((2, 16), (16,)), ((2, 16, 3, 3), (16, 2, 1, 1)), ((2, 16, 1, 1), (16, 2, 3, 3)),
    ((1, 2, 16), (1, 16, 2)), ((32,), (32,)), ((2, 8), (8, 2)), ((2, 3072), (3072, 2)), ((), ()),
    ((2, 4, 4), (16, 2)), ((2, 16), (4, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("down", "up"), SHAPES, ids=str)
def test_halves_of_the_wrong_shape(tmp_path: Path, down: tuple[int, ...], up: tuple[int, ...]) -> None:
    shaped = {Q_DOWN: torch.ones(down), Q_UP: torch.ones(up)}
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, **shaped}))


LAYER = "transformer_blocks.0.attn.to_q"
PARTS: list[dict[str, tuple[int, ...]]] = [
    {"lora_down.weight": (2, 16)}, {"lora_up.weight": (16, 2)}, {"alpha": ()}, {"lora_mid.weight": (2, 2, 3, 3)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": (2, 2, 3, 3)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": (2, 2)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": ()},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 1), "lora_mid.weight": (1,)},
    {"lokr_w1": (4, 4), "lokr_w2": (4, 5), "lokr_w2_b": ()},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "hada_w1_a": (16, 2)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "diff": (16, 16)},
    {"lora_down.weight": (2, 16), "hada_w1_b": (2, 16)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (3, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 16)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 8)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 16), "hada_t1": (2, 2)},
    {"hada_w1_a": (2, 16), "hada_w1_b": (2, 16), "hada_w2_a": (2, 16), "hada_w2_b": (2, 16), "hada_t1": (2, 2, 1, 1)},
    {"hada_w1_a": (16,), "hada_w1_b": (16,), "hada_w2_a": (16,), "hada_w2_b": (16,)}, {"lokr_w1": (4, 4)},
    {"lokr_w2": (4, 4)}, {"lokr_w1": (4, 4), "lokr_w2_a": (4, 2)}, {"lokr_w1_a": (4, 2), "lokr_w2": (4, 4)},
    {"lokr_w1": (3, 4), "lokr_w2": (4, 4)}, {"lokr_w1": (4, 4), "lokr_w2": (4, 5)},
    {"lokr_w1": (16,), "lokr_w2": (1, 1)}, {"lokr_w1": (4, 4), "lokr_w2": (4,)},
    {"lokr_w1": (4, 4, 1), "lokr_w2": (4, 4)},
    {"lokr_w1": (4, 4), "lokr_t2": (2, 2, 1, 1), "lokr_w2_a": (3, 4), "lokr_w2_b": (2, 4)},
    {"lokr_w1": (4, 4), "lokr_t2": (2, 2), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 4)},
    {"lokr_w1": (4, 4), "lokr_w2_a": (4, 2), "lokr_w2_b": (3, 4)}, {"diff": (16, 8)}, {"diff": (256,)},
    {"diff": ()},
]  # fmt: skip


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_parts_that_make_no_update(tmp_path: Path, parts: dict[str, tuple[int, ...]]) -> None:
    tensors = {f"{LAYER}.{part}": torch.ones(shape) for part, shape in parts.items()}
    others = {name: tensor for name, tensor in TENSORS.items() if "to_q" not in name}
    refused(tmp_path / "a.safetensors", to_bytes({**others, **tensors}))


@pytest.mark.parametrize(
    ("key", "words"),
    {
        "attn.to_q.dora_scale": "DoRA",
        "attn.to_q.lora_magnitude_vector": "DoRA",
        "attn.to_q.lora_magnitude_vector.default.weight": "DoRA",
        "attn.to_q.lora_B.bias": "bias",
        "attn.to_q.diff_b": "bias",
        "attn.to_q.oft_blocks": "OFT",
        "attn.to_q.oft_R.default.weight": "OFT",
        "attn.to_q.ia3_l": "IA3",
        "attn.to_q.a1.weight": "GLoRA",
        "attn.to_q.lora_embedding_A": "embedding",
        "attn.norm_q.w_norm": "replacement",
    }.items(),
)
def test_parts_that_cannot_be_left_out(tmp_path: Path, key: str, words: str) -> None:
    refused(
        tmp_path / "a.safetensors",
        to_bytes({**TENSORS, f"transformer_blocks.0.{key}": torch.ones(16)}),
        words,
    )


@pytest.mark.parametrize(
    "again",
    [
        f"transformer.{LAYER}.lora_A.weight",
        f"diffusion_model.{LAYER}.lora_down.weight",
        f"{LAYER}.lora_A.default.weight",
        "lora_unet_transformer_blocks_0_attn_to_q.lora_down.weight",
    ],
)
def test_one_tensor_under_two_names(tmp_path: Path, again: str) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, again: torch.ones(2, 16)}), "one tensor")


# Another base.


def test_a_lora_for_another_kind_of_network_names_both(tmp_path: Path) -> None:
    unet = to_bytes(spell(make_updates(sdxl_networks(), r"^unet.*attn2\.to_[qk]$"), "kohya, SDXL"))
    message = refused(tmp_path / "a.safetensors", unet)
    assert "U-Net" in message
    assert "Qwen-Image" in message


@pytest.mark.parametrize(
    ("declared", "title"),
    [
        ("stable-diffusion-xl-v1-base/lora", "SDXL"),
        ("stable-diffusion-v1/lora", "Stable Diffusion 1"),
        ("flux-1-dev/lora", "FLUX"),
    ],
)
def test_a_lora_declared_for_another_base_names_both(tmp_path: Path, declared: str, title: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(TENSORS, {"modelspec.architecture": declared}))
    with pytest.raises(LoraError, match=f"{title}.*the base here is Qwen-Image"):
        read_lora(path, NETWORKS, family="qwen-image")


def test_a_lora_of_another_width_names_both(tmp_path: Path) -> None:
    wide = {Q_DOWN: torch.ones(2, 3072), Q_UP: torch.ones(3072, 2)}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(wide))
    with pytest.raises(LoraError, match="LoRA for Qwen-Image; the base here is Vignette"):
        read_lora(path, NETWORKS, family="vignette")
    path.write_bytes(
        to_bytes(wide, {"modelspec.architecture": "flux-1-dev/lora"})
    )  # as wide, and called alike
    with pytest.raises(LoraError, match="LoRA for FLUX; the base here is Qwen-Image"):
        read_lora(path, NETWORKS, family="qwen-image")


FOREIGN = [
    "double_blocks.0.img_attn.qkv", "transformer.single_transformer_blocks.3.attn.to_q",
    "diffusion_model.blocks.0.self_attn.q", "diffusion_model.joint_blocks.1.x_block.attn.qkv",
    "layers.0.attention.to_q", "lora_te3_encoder_block_0_q", "what.is.this",
    "lora_unet_transformer_blocks_7_attn_to_q", "transformer_blocks.0.attn.to_Q",
    "transformer.transformer_blocks.0.attn", "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
    "vae.decoder.conv_in", "unet.transformer_blocks.0.attn.to_q",
]  # fmt: skip


@pytest.mark.parametrize("layer", FOREIGN)
def test_a_file_of_which_nothing_fits(tmp_path: Path, layer: str) -> None:
    tensors = {f"{layer}.lora_down.weight": torch.ones(2, 16), f"{layer}.lora_up.weight": torch.ones(16, 2)}
    refused(tmp_path / "a.safetensors", to_bytes(tensors), "none of|is a LoRA for")


def test_a_text_encoder_that_fits_does_not_excuse_a_denoiser_that_does_not(tmp_path: Path) -> None:
    text = spell(make_updates(sdxl_networks(), "^text_encoder.*self_attn"), "kohya")
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({**text, "lora_unet_else.lora_down.weight": torch.ones(2, 8)}))
    with pytest.raises(LoraError, match="none of its tensors for the denoiser"):
        read_lora(path, sdxl_networks())


def test_keys_that_fit_nothing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(
        to_bytes(
            {**TENSORS, "bundle_emb.x": torch.ones(2), "transformer_blocks.9.attn.to_q.alpha": torch.ones(1)}
        )
    )
    assert read_lora(path, NETWORKS).unmatched == ("bundle_emb.x", "transformer_blocks.9.attn.to_q.alpha")


def test_keys_that_a_terminal_would_act_on_are_named_without_that() -> None:
    (said,) = remarks_on_unused({"ink": ("\x1b[31mred", "plain.key")})
    assert said.endswith(r"'\x1b[31mred', plain.key")


# What is no safetensors file.


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pt", "a.ckpt"])
def test_a_pickle_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(tmp_path / name, pickle.dumps({"a": Bomb()}, protocol=protocol))
    assert not (tmp_path / "exploded").exists()
    if protocol >= 2 or not name.endswith("safetensors"):
        assert "prima lora convert" in message


def test_torchs_own_pickle_is_told_how_to_be_converted(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.bin")
    for name in ("a.bin", "a.safetensors"):
        refused(tmp_path / name, (tmp_path / "a.bin").read_bytes(), "prima lora convert")


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_reads_like_a_pickles_beginning(tmp_path: Path, length: int) -> None:
    data = assembled(json.dumps(HEADER, separators=(",", ":")).encode().ljust(length))
    assert data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert len(read_lora(path, NETWORKS).updates) == 2
    refused(path, data[:8] + b"}" + data[9:], "is a pickle")
    refused(path, data[: length - 200], "is a pickle")


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0" * 8, b"\xff" * 64, b"<html>" * 20, b"\x89PNG\r\n\x1a\n" * 9, GOOD[8:]]
)
def test_something_else(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "a.safetensors", data)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "closed.safetensors").write_bytes(GOOD)
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    for name in ("pipe", "folder", "missing", "loop", "a\0b", "a" * 300):
        with pytest.raises(LoraError):
            read_lora(tmp_path / f"{name}.safetensors", NETWORKS)


# What PEFT and we ourselves say beside the tensors.

CONFIGS = [
    "", "[]", "null", "{", '{"lora_alpha": "8"}', '{"lora_alpha": NaN}', '{"lora_alpha": 1e9}',
    '{"lora_alpha": [8]}', '{"lora_alpha": true}', '{"r": 0}', '{"r": "4"}', '{"rank_pattern": {"to_q": 0.5}}',
    '{"alpha_pattern": [1]}', '{"alpha_pattern": {"to_q": "x"}}', '{"use_dora": true}', '{"peft_type": "OFT"}',
    '{"alpha_pattern": {"(to_q": 2}}', '{"alpha_pattern": {"(\\\\w+)*x": 2}}', '{"rank_pattern": {"[z-a]": 2}}',
    '{"alpha_pattern": {".*t.*o.*_.*q": 2}}', '{"alpha_pattern": {"(?i)to_q": 2}}', '{"alpha_pattern": {"a(*b)": 2}}',
    '{"alpha_pattern": {"' + "(a|b)" * 40 + '": 2}}',
    json.dumps({"alpha_pattern": {f"{number}.*q": 2 for number in range(99)}}),
    '{"peft_type": 5}', '{"peft_type": {}}', "[" * 90_000, '{"lora_alpha": ' + "9" * 5000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda text: text[:40])
def test_a_configuration_that_cannot_be_meant(tmp_path: Path, config: str) -> None:
    (tmp_path / "adapter_config.json").write_text(config, encoding="utf-8")
    silent = {name: tensor for name, tensor in TENSORS.items() if "alpha" not in name}
    refused(tmp_path / "a.safetensors", to_bytes(silent))


SAID = [
    ("allaprima.sigmas", "x"), ("allaprima.sigmas", "5"), ("allaprima.sigmas", "[2]"), ("allaprima.sigmas", '["a"]'),
    ("allaprima.sigmas", "[NaN]"), ("allaprima.sigmas", str([1] * 2000)), ("allaprima.steps", "0"),
    ("allaprima.steps", "1.5"), ("allaprima.steps", "true"), ("allaprima.steps", '"4"'), ("allaprima.guidance", "-1"),
    ("allaprima.guidance", "Infinity"), ("allaprima.guidance", "[]"), ("allaprima.guidance", "[" * 90_000),
    ("lora_adapter_metadata", "nonsense"), ("lora_adapter_metadata", '{"transformer.lora_alpha": "8"}'),
    ("lora_adapter_metadata", '{"transformer.use_dora": true}'), ("adapter_config", "nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text"), SAID, ids=lambda word: word[:40])
def test_metadata_that_were_never_written_there(tmp_path: Path, key: str, text: str) -> None:
    refused(tmp_path / "a.safetensors", to_bytes(TENSORS, {key: text}))


# Names.

NAMES = [
    "", ".", "..", "../ink", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..\\ink", "~/ink", "./ink",
    "ink/", "a\0b", "\0", "a\nb", "a\tb", "a:b", "C:ink", "<ink>", "ink?", "in*", '"ink"', "a|b", ".hidden",
    "a" * 201, "ink\x7f", "\u202eink", "\ud800", "ink/../../x", "file:///ink", "http://x/ink", "//server/ink",
    "\u2028", "ink\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "loras").mkdir()
    for place in (tmp_path / "ink.safetensors", tmp_path / "loras" / "ink.safetensors"):
        place.write_bytes(GOOD)
    folder = LoraFolder(tmp_path / "loras")
    for ask in (folder.find, folder.require, folder.digest, lambda name: folder.read(name, NETWORKS)):
        with pytest.raises(LoraError):
            ask(name)


def test_links_that_leave_the_folder(tmp_path: Path) -> None:
    home, outside = tmp_path / "loras", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "secret.safetensors").write_bytes(GOOD)
    (outside / "adapter_model.safetensors").write_bytes(GOOD)
    (home / "direct.safetensors").symlink_to(outside / "secret.safetensors")
    (home / "relative.safetensors").symlink_to("../outside/secret.safetensors")
    (home / "folder").symlink_to(outside)
    (home / "inner").mkdir()
    (home / "inner" / "adapter_model.safetensors").symlink_to(outside / "secret.safetensors")
    (home / "beside").mkdir()
    (home / "beside" / "adapter_model.safetensors").write_bytes(GOOD)
    (outside / "adapter_config.json").write_text("{}")
    (home / "beside" / "adapter_config.json").symlink_to(outside / "adapter_config.json")
    (home / "hop.safetensors").symlink_to(home / "direct.safetensors")
    (home / "dangling.safetensors").symlink_to(outside / "missing.safetensors")
    (home / "loop.safetensors").symlink_to("loop.safetensors")
    (home / "own.safetensors").write_bytes(GOOD)
    (home / "alias.safetensors").symlink_to("own.safetensors")
    folder = LoraFolder(home)
    for name in ("direct", "relative", "folder", "inner", "beside", "hop", "dangling", "loop"):
        with pytest.raises(LoraError):
            folder.read(name, NETWORKS)
    assert folder.read("alias", NETWORKS).digest == folder.digest("own")


# Damage that nobody planned: whatever happens to the bytes, it is read or it is refused.


@settings(max_examples=200)
@given(
    at=st.integers(0, len(GOOD) - 1),
    put=st.binary(min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_bytes_changed_anywhere(
    tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(GOOD[:at] + put + GOOD[at + cut :])
    try:
        lora = read_lora(path, NETWORKS)
    except LoraError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both outcomes are right, and no other is)
    else:
        assert isinstance(lora, Lora)
        assert all(update.shape == (16, 16) for update in lora.updates.values())

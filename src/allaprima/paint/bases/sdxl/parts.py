"""Building SDXL's networks from configurations and tensors, whole or not at all.

A network is made on the meta device and is then given all of its tensors. One that is missing, left over or of
another shape is an error, so that no weight stays random. Given None for its tensors, a network stays on the meta
device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig

from allaprima.core.errors import WeightsError
from allaprima.core.picture_kinds import HEAD_BYTES, describe
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.files.quantization import SCALES, is_about_weights
from allaprima.paint.bases.folder import PICKLES
from allaprima.paint.bases.lfs_pointer import refuse_lfs_pointer
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.bases.sdxl.traits import PORTION

M = TypeVar("M", bound=nn.Module)
PUBLISHED_SIZE = 128
"""Latents along a side of SDXL's pictures, which have 1024 pixels."""
Tensors = Mapping[str, Tensor]
Builder = Callable[[str, Mapping[str, Any], Tensors | None, torch.dtype], M]
"""(name for messages, configuration, tensors, number format) -> the network, on the meta device without tensors."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a checkpoint."""

    unet: UNet2DConditionModel
    autoencoder: AutoencoderKL
    text: SdxlText
    scheduler: Mapping[str, Any]
    """The settings of `scheduler_config.json`, or their equals for a single file."""


LATENT_CHANNELS = 4
INPAINT_CHANNELS = 9
"""Latents, a mask, and the latents of the masked picture: what the UNet of an inpainting checkpoint reads."""
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# The autoencoder's attention before diffusers 0.18; some autoencoders still use these names.
_OLD_ATTENTION = {"query.": "to_q.", "key.": "to_k.", "value.": "to_v.", "proj_attn.": "to_out.0."}


def read_tensors(
    path: Path, dtype_of: Callable[[str], torch.dtype | None] = lambda _: None
) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Those that keep their number format stay where the file is mapped. The others are converted while they are read,
    and are never in memory twice: the file is unmapped after every `PORTION` of it.

    Args:
        dtype_of: the number format for the floats of a tensor, by its name; None for the file's.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            formats = {name: file.get_slice(name).get_dtype() for name in names}
        converted: dict[str, Tensor] = {}
        waiting = [name for name in names if _differs(formats[name], dtype_of(name))]
        while waiting:
            converted |= _convert_portion(path, waiting, dtype_of)
            waiting = [name for name in waiting if name not in converted]
        with safe_open(path, framework="pt") as file:
            tensors = {n: converted[n] if n in converted else file.get_tensor(n) for n in names}
        return scaled(tensors, dtype_of)
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error


def scaled(tensors: Tensors, dtype_of: Callable[[str], torch.dtype | None]) -> dict[str, Tensor]:
    """Return `tensors` without the scales that weights in eight bits have beside them, each weight times its own."""
    kept = {name: tensor for name, tensor in tensors.items() if not is_about_weights(name)}
    for name, scale in tensors.items():
        if not name.endswith(SCALES):
            continue
        weight = name[: name.rindex(".")] + ".weight"
        if weight not in kept or scale.numel() not in (1, len(kept[weight])) or not _are_scales(scale):
            raise WeightsError(
                f"got the scale {name[:100]} of shape {tuple(scale.shape)}, which goes with no weight; expected "
                "fp8 weights with a scale each: fetch another form of the model"
            )
        rows = scale.float().reshape(-1, *[1] * (kept[weight].ndim - 1))
        kept[weight] = (kept[weight].float() * rows).to(dtype_of(weight) or torch.float32)
    return kept


def _are_scales(scale: Tensor) -> bool:
    return bool((scale.float().isfinite() & (scale.float() > 0)).all())


def _differs(stored: str, wanted: torch.dtype | None) -> bool:
    return wanted is not None and stored in _FLOATS and _FLOATS[stored] != wanted


def _convert_portion(
    path: Path, names: list[str], dtype_of: Callable[[str], torch.dtype | None]
) -> dict[str, Tensor]:
    """Return the first tensors of `names`, at least one, in their wanted formats, and unmap the file."""
    converted: dict[str, Tensor] = {}
    num_bytes = 0
    with safe_open(path, framework="pt") as file:
        for name in names:
            stored = file.get_tensor(name)
            converted[name] = stored.to(dtype_of(name))
            num_bytes += stored.nbytes
            if num_bytes >= PORTION:
                break
    return converted


def refuse_pickle(path: Path) -> None:
    """Raise WeightsError if the file may be a pickle, whatever its name, or a pointer of git-lfs."""
    refuse_lfs_pointer(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        start = b""  # the reader's error is more precise
    # A safetensors header whose length looks like a pickle's first bytes still has its brace in ninth place.
    begins = start.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
    if path.suffix.lower() in PICKLES or (begins and start[8:] != b"{"):
        raise WeightsError(
            f"{path} is a pickle, which may run any code when read, so it never is; expected .safetensors, which "
            "most model pages offer beside it"
        )


def unreadable(path: Path, error: Exception) -> WeightsError:
    """Return the error for a file that is missing, damaged or something else altogether."""
    reason = str(error)
    with suppress(OSError), path.open("rb") as file:
        if (what := describe(file.read(HEAD_BYTES))) not in ("text", "no picture"):
            reason = f"it is {what}"
    return WeightsError(
        f"cannot read {path.name} in {path.parent}: {reason}; expected a whole safetensors file, download it again"
    )


def build_unet(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> UNet2DConditionModel:
    """Return the denoiser."""
    if config.get("addition_embed_type") != "text_time":
        raise WeightsError(
            f"{where} is told {config.get('addition_embed_type')!r} besides the prompt; expected 'text_time', "
            "sizes and pooled text: this is no SDXL"
        )
    if (channels := config.get("in_channels", LATENT_CHANNELS)) not in (LATENT_CHANNELS, INPAINT_CHANNELS):
        raise WeightsError(
            f"{where} takes {str(channels)[:20]} channels; expected {LATENT_CHANNELS}, or {INPAINT_CHANNELS} for "
            "painting what a mask says"
        )
    # The class leaves the size open, and diffusers' pipelines then paint SDXL's own.
    size = config.get("sample_size")
    filled = {**config, "sample_size": PUBLISHED_SIZE if size is None else size}
    return _build(where, lambda: UNet2DConditionModel.from_config(filled), tensors, dtype)


def build_autoencoder(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> AutoencoderKL:
    """Return the autoencoder, in float32 where it overflows in half precision."""
    named = None if tensors is None else {_renewed(name): tensor for name, tensor in tensors.items()}
    overflows = dtype == torch.float16 and bool(config.get("force_upcast", True))
    wanted = torch.float32 if overflows else dtype
    return _build(where, lambda: AutoencoderKL.from_config(dict(config)), named, wanted)


def build_text_encoder(
    model: Callable[[CLIPTextConfig], M],
    where: str,
    config: Mapping[str, Any],
    tensors: Tensors | None,
    dtype: torch.dtype,
) -> M:
    """Return one of the two text encoders; of the second the pooled output is used too."""
    return _build(where, lambda: model(CLIPTextConfig(**config)), tensors, dtype)


def _build(where: str, make: Callable[[], M], tensors: Tensors | None, dtype: torch.dtype) -> M:
    try:
        with torch.device("meta"):
            model = make()
    except DAMAGED as error:
        raise WeightsError(
            f"{where} has a configuration that cannot be built: {in_one_line(error)}; expected that of an SDXL, "
            "fetch the model again"
        ) from error
    if tensors is None:
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
    else:
        expected = model.state_dict()
        renamed = _rename(tensors, expected)
        _check_names_and_shapes(where, renamed, expected)
        state = {name: part.to(dtype) if part.is_floating_point() else part for name, part in renamed.items()}
        model.load_state_dict(state, assign=True)
    _number_positions(model)
    return model.eval().requires_grad_(False)


def _rename(tensors: Tensors, expected: Tensors) -> dict[str, Tensor]:
    """Return the tensors under the names of this version of transformers, without those that are no weights.

    Files, and transformers before 5.6, keep the weights of a `CLIPTextModel` under `text_model`.
    """
    bare = not any(name.startswith("text_model.") for name in expected)
    named = {name.removeprefix("text_model.") if bare else name: tensor for name, tensor in tensors.items()}
    return {
        name: tensor for name, tensor in named.items() if name in expected or not _is_counter(name, tensor)
    }


def _is_counter(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor is no weight: trainers leave counters of their averages in files."""
    return name.endswith("embeddings.position_ids") or tensor.ndim == 0 or not tensor.is_floating_point()


def _check_names_and_shapes(where: str, tensors: Tensors, expected: Tensors) -> None:
    missing, left_over = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing:
        raise WeightsError(
            f"{where} lacks {_first_names(missing)}; expected all {len(expected)} tensors of its kind"
        )
    if left_over:
        raise WeightsError(
            f"{where} has {_first_names(left_over)}; expected the {len(expected)} tensors of its kind only"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            got, shape = tuple(tensor.shape), tuple(expected[name].shape)
            raise WeightsError(f"{where} has {name} of shape {got}; expected {shape}")


def _first_names(names: list[str]) -> str:
    rest = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return ", ".join(name[:100] for name in names[:2]) + rest


def _number_positions(model: nn.Module) -> None:
    """Give CLIP its `position_ids`, which no file holds."""
    for module in model.modules():
        positions = getattr(module, "position_ids", None)
        if isinstance(positions, Tensor) and positions.is_meta:
            module.position_ids = torch.arange(positions.shape[-1])[None]


def _renewed(name: str) -> str:
    if ".attentions." in name:
        for old, new in _OLD_ATTENTION.items():
            name = name.replace(f".{old}", f".{new}")
    return name

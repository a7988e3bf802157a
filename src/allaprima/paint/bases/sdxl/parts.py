"""Building SDXL's networks from configurations and tensors, whole or not at all.

A network is made without memory and is then given every tensor it has; one that is missing, left over or of
another shape is an error, never a random number. Given None for its tensors, it stays without memory, as an outline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.folder import PICKLES
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.bases.sdxl.traits import PORTION

M = TypeVar("M", bound=nn.Module)
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that is in a checkpoint."""

    unet: UNet2DConditionModel
    autoencoder: AutoencoderKL
    text: SdxlText
    scheduler: Mapping[str, Any]
    """What `scheduler_config.json` says, or would say."""


_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# What the autoencoder's attention was called before diffusers 0.18; some autoencoders are still passed on so.
_OLD_ATTENTION = {"query.": "to_q.", "key.": "to_k.", "value.": "to_v.", "proj_attn.": "to_out.0."}


def read_tensors(
    path: Path, dtype_of: Callable[[str], torch.dtype | None] = lambda _: None
) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Those that are wanted as they are stored stay where the file is mapped. The others are converted as they are read,
    and never lie in memory twice: the mapping is let go after every `PORTION` of it.

    Args:
        path: the file.
        dtype_of: the number format that the floats of a tensor's name are wanted in; None for that of the file.

    Raises:
        WeightsError: the file is missing, a pickle, cut short or not of this format.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            kinds = {name: file.get_slice(name).get_dtype() for name in names}
        converted: dict[str, Tensor] = {}
        waiting = [name for name in names if _differs(kinds[name], dtype_of(name))]
        while waiting:
            converted |= _convert_portion(path, waiting, dtype_of)
            waiting = [name for name in waiting if name not in converted]
        with safe_open(path, framework="pt") as file:
            return {n: converted[n] if n in converted else file.get_tensor(n) for n in names}
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error


def _differs(stored: str, wanted: torch.dtype | None) -> bool:
    return wanted is not None and stored in _FLOATS and _FLOATS[stored] != wanted


def _convert_portion(
    path: Path, names: list[str], dtype_of: Callable[[str], torch.dtype | None]
) -> dict[str, Tensor]:
    """The first of `names`, at least one, in the format wanted; what was mapped for it is gone afterwards."""
    done: dict[str, Tensor] = {}
    read = 0
    with safe_open(path, framework="pt") as file:
        for name in names:
            stored = file.get_tensor(name)
            done[name] = stored.to(dtype_of(name))
            read += stored.nbytes
            if read >= PORTION:
                break
    return done


def refuse_pickle(path: Path) -> None:
    """Raise WeightsError if the file can be a pickle, whatever it is called."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        start = b""  # the reader says better what is wrong
    # With a header's brace in its place only the header's length is that of a pickle, and the reader judges.
    looks = (
        start.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) and start[8:] != b"{"
    )
    if path.suffix.lower() in PICKLES or looks:
        raise WeightsError(
            f"{path} is a pickle, which can run any program when it is opened, so it is never read; "
            "expected a .safetensors file, which most model pages offer beside it"
        )


def unreadable(path: Path, error: Exception) -> WeightsError:
    """Return the error for a file that is missing or damaged."""
    return WeightsError(
        f"cannot read {path.name} in {path.parent}: {error}; expected a whole safetensors file, download it again"
    )


def build_unet(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> UNet2DConditionModel:
    """Return the denoiser.

    Raises:
        WeightsError: the configuration is not of an SDXL UNet, or the tensors do not fit it.
    """
    if config.get("addition_embed_type") != "text_time":
        raise WeightsError(
            f"{where} is told {config.get('addition_embed_type')!r} besides the prompt; expected 'text_time', "
            "sizes and pooled text: this is no SDXL"
        )
    if config.get("in_channels", 4) != 4:
        raise WeightsError(
            f"{where} takes {config['in_channels']} channels; expected 4: this is SDXL for filling in masks"
        )
    return _filled(where, lambda: UNet2DConditionModel.from_config(dict(config)), tensors, dtype)


def build_autoencoder(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> AutoencoderKL:
    """Return the autoencoder, in float32 where it overflows in half precision.

    Raises:
        WeightsError: the tensors do not fit the configuration.
    """
    named = None if tensors is None else {_renewed(name): tensor for name, tensor in tensors.items()}
    overflows = dtype == torch.float16 and bool(config.get("force_upcast", True))
    wanted = torch.float32 if overflows else dtype
    return _filled(where, lambda: AutoencoderKL.from_config(dict(config)), named, wanted)


def build_text_encoder(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> CLIPTextModel:
    """Return the first text encoder, whose token states are used.

    Raises:
        WeightsError: the tensors do not fit the configuration.
    """
    return _filled(where, lambda: CLIPTextModel(CLIPTextConfig(**config)), tensors, dtype)


def build_text_encoder_2(
    where: str, config: Mapping[str, Any], tensors: Tensors | None, dtype: torch.dtype
) -> CLIPTextModelWithProjection:
    """Return the second text encoder, whose token states and pooled output are used.

    Raises:
        WeightsError: the tensors do not fit the configuration.
    """
    return _filled(where, lambda: CLIPTextModelWithProjection(CLIPTextConfig(**config)), tensors, dtype)


def _filled(where: str, make: Callable[[], M], tensors: Tensors | None, dtype: torch.dtype) -> M:
    try:
        with torch.device("meta"):
            model = make()
    except DAMAGED as error:
        raise WeightsError(
            f"{where} has a configuration that cannot be built: {in_one_line(error)}; expected that of an SDXL, "
            "fetch the model again"
        ) from error
    if tensors is None:
        return _outlined(model, dtype)
    wanted = model.state_dict()
    given = _fitted(tensors, wanted)
    _compare(where, given, wanted)
    filled = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in given.items()
    }
    model.load_state_dict(filled, assign=True)
    _number_positions(model)
    return model.eval().requires_grad_(False)


def _outlined(model: M, dtype: torch.dtype) -> M:
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    _number_positions(model)
    return model.eval().requires_grad_(False)


def _fitted(tensors: Tensors, wanted: Tensors) -> dict[str, Tensor]:
    """Name the tensors as this version of transformers does, and leave out what is no weight.

    Since 5.6 a `CLIPTextModel` holds directly what older ones, and files, keep under `text_model`.
    """
    bare = not any(name.startswith("text_model.") for name in wanted)
    named = {name.removeprefix("text_model.") if bare else name: tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if not name.endswith("embeddings.position_ids")}


def _compare(where: str, given: Tensors, wanted: Tensors) -> None:
    missing, left_over = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing:
        raise WeightsError(f"{where} lacks {_some(missing)}; expected all {len(wanted)} tensors of its kind")
    if left_over:
        raise WeightsError(
            f"{where} has {_some(left_over)}; expected the {len(wanted)} tensors of its kind only"
        )
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            got, expected = tuple(tensor.shape), tuple(wanted[name].shape)
            raise WeightsError(f"{where} has {name} of shape {got}; expected {expected}")


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return ", ".join(name[:100] for name in names[:2]) + rest


def _number_positions(model: nn.Module) -> None:
    """Give CLIP the numbering of its positions, which no file holds."""
    for module in model.modules():
        positions = getattr(module, "position_ids", None)
        if isinstance(positions, Tensor) and positions.is_meta:
            module.position_ids = torch.arange(positions.shape[-1])[None]


def _renewed(name: str) -> str:
    if ".attentions." in name:
        for old, new in _OLD_ATTENTION.items():
            name = name.replace(f".{old}", f".{new}")
    return name

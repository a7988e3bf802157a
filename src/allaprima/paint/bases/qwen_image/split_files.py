"""Reading a Qwen-Image that is kept in several files, plain or quantised, as ComfyUI and llama.cpp write them.

    base = load_split_qwen_image({"transformer": path, "text_encoder": encoder, "vae": vae}, device=device)

Weights stay as they are stored: quantised layers take the place of the networks' own (`paint/quantization`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.files.header import FileHeader, read_header
from allaprima.paint.bases.files.parts import Part
from allaprima.paint.bases.files.stored_weights import read_weights
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.files import PARTS, name_text_weights, name_vae_weights
from allaprima.paint.bases.qwen_image.published import (
    FLOW,
    Shapes,
    autoencoder_config,
    text_config,
    transformer_config,
)
from allaprima.paint.bases.qwen_image.text import PromptEncoder
from allaprima.paint.bases.qwen_image.weights import check_together, drop_unused_parts, quiet
from allaprima.paint.bases.qwen_tokenizer import qwen_tokenizer
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.quantization.loading import load_weights

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

Names = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Gives a part's tensors the names that its network has for them."""


@dataclass(frozen=True, kw_only=True)
class PartReader:
    """One part's file, from which its network is made."""

    header: FileHeader
    prefix: str
    names: Names

    @classmethod
    def open(cls, part: Part, path: Path, names: Names = dict) -> PartReader:
        """Return the reader of a part that is in the file at `path`."""
        header = read_header(path)
        known = next(one for one in PARTS if one.part == part)
        prefix = known.find_prefix(header)
        if prefix is None:
            raise WeightsError(f"{path} does not hold {known.name}; expected a file that does")
        return cls(header=header, prefix=prefix, names=names)

    @property
    def shapes(self) -> Shapes:
        """The part's tensors as the file announces them, under the network's names."""
        tensors = self.header.tensors.items()
        return self.names({
            name.removeprefix(self.prefix): tensor for name, tensor in tensors if name.startswith(self.prefix)
        })  # fmt: skip

    def make(self, build: Callable[[Shapes], Any]) -> Any:
        """Return the network without weights, of the shapes that the file has."""
        from accelerate import init_empty_weights

        try:
            with quiet(), init_empty_weights():
                return build(self.shapes)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        except DAMAGED as error:
            raise WeightsError(
                f"{self.header.path} has shapes that no network can be made of: {in_one_line(error)}; fetch it again"
            ) from error

    def load(self, network: Any, dtype: torch.dtype, device: torch.device, *, absent: bool) -> Any:
        """Give `network` its weights and return it; an `absent` one gets shapes and formats alone."""
        weights = self.names(read_weights(self.header, self.prefix, meta=absent))
        try:
            load_weights(network, weights, dtype=dtype, device="meta" if absent else device)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        return network


def load_split_qwen_image(
    paths: Mapping[Part, Path],
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
    tokenizer: Callable[[], Qwen2Tokenizer] = qwen_tokenizer,
) -> QwenImageBase:
    """Load the Qwen-Image whose parts are in the files at `paths`, perhaps all in one.

    Raises:
        WeightsError: a part is missing, damaged, quantised in a way that is not read, or goes with no other.
    """
    from allaprima.paint.bases.qwen_image.rotary import join_rotary

    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    text = PartReader.open("text_encoder", paths["text_encoder"], name_text_weights)
    decode = PartReader.open("vae", paths["vae"], name_vae_weights)
    predict = PartReader.open("transformer", paths["transformer"])
    made = {
        "text": (text, text.make(_make_text_encoder)),
        "decode": (decode, decode.make(_make_autoencoder)),
        "predict": (predict, predict.make(_make_transformer)),
    }
    encoder, autoencoder, transformer = (network for _, network in made.values())
    check_together(paths["transformer"], transformer.config, autoencoder.config, encoder.config)
    words = tokenizer()
    if len(words) > encoder.config.text_config.vocab_size:
        raise WeightsError(
            f"{paths['text_encoder']} knows {encoder.config.text_config.vocab_size:,} pieces of words; expected at least "
            f"the {len(words):,} of Qwen2.5"
        )
    for stage, (reader, network) in made.items():
        reader.load(network, dtype, device, absent=stage in absent)
    join_rotary(transformer)
    return QwenImageBase(
        transformer=transformer,
        autoencoder=autoencoder.flatten(),
        text=PromptEncoder(encoder=encoder, tokenizer=words),
        name=shown_name(str(paths["transformer"])) if name is None else name,
        flow=FLOW,
    )


def _make_transformer(shapes: Shapes) -> Any:
    from diffusers import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel(**transformer_config(shapes))


def _make_text_encoder(shapes: Shapes) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    return drop_unused_parts(Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**text_config(shapes))))


def _make_autoencoder(shapes: Shapes) -> Any:
    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder

    return FrameAutoencoder(**autoencoder_config(shapes))

"""Reading a FLUX.2 klein that is kept in several files, plain or quantised, as ComfyUI and llama.cpp write them.

    base = load_split_flux2_klein({"transformer": path, "text_encoder": encoder, "vae": vae}, device=device)

What the files' shapes tell of the networks is taken from them, the rest is that of the published klein.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase
from allaprima.paint.bases.flux2_klein.files import PARTS
from allaprima.paint.bases.flux2_klein.names import name_weights
from allaprima.paint.bases.flux2_klein.traits import TEXT_LAYERS, TRAITS, UNDISTILLED
from allaprima.paint.bases.flux2_klein.weights import check_statistics, check_together
from allaprima.paint.bases.ldm_autoencoder import autoencoder_config, decoder_widths, name_autoencoder_weights
from allaprima.paint.bases.part_reader import Names, PartReader, PartShapes, count_layers, shape_in
from allaprima.paint.bases.qwen3 import NO_THOUGHTS, Qwen3Reader
from allaprima.paint.bases.qwen3_files import check_vocabulary, make_text_encoder, name_text_weights
from allaprima.paint.bases.qwen_tokenizer import qwen3_tokenizer
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.flow_schedule import FlowSettings

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

FLOW = FlowSettings(use_dynamic_shifting=True, shift=3.0)


def load_split_flux2_klein(
    paths: Mapping[PartName, Path],
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
    tokenizer: Callable[[], Qwen2Tokenizer] = qwen3_tokenizer,
) -> Flux2KleinBase:
    """Load the FLUX.2 klein whose parts are in the files at `paths`, perhaps all in one.

    Nothing inside a file says whether the model was distilled, so its name does: one with "base" was not.

    Raises:
        WeightsError: a part is missing, damaged, quantised in a way that is not read, or goes with no other.
    """
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    names: dict[PartName, Names] = {
        "transformer": name_weights,
        "text_encoder": partial(name_text_weights, layers=max(TEXT_LAYERS)),
        "vae": name_autoencoder_weights,
    }
    predict, text, decode = (PartReader.open(part, paths[part.part], names[part.part]) for part in PARTS)
    encoder, autoencoder = text.make(make_text_encoder), decode.make(make_autoencoder)
    transformer = predict.make(make_transformer)
    if len(encoder.layers) < max(TEXT_LAYERS):
        raise WeightsError(
            f"{paths['text_encoder']} has {len(encoder.layers)} layers; expected those of Qwen3 4B"
        )
    check_together(paths["transformer"], transformer.config, autoencoder.config, encoder.config)
    words = tokenizer()
    check_vocabulary(paths["text_encoder"], encoder, len(words))
    text.load(encoder, dtype, device, absent="text" in absent)
    decode.load(autoencoder, dtype, device, absent="decode" in absent)
    check_statistics(paths["vae"], autoencoder)
    predict.load(transformer, dtype, device, absent="predict" in absent)
    is_base = "base" in paths["transformer"].stem.lower()
    return Flux2KleinBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=Qwen3Reader(encoder=encoder, tokenizer=words, layers=TEXT_LAYERS, answer=NO_THOUGHTS, pads=True),
        name=shown_name(str(paths["transformer"])) if name is None else name,
        flow=FLOW,
        defaults=UNDISTILLED if is_base else TRAITS.defaults,
    )


def make_transformer(shapes: PartShapes) -> Any:
    """Return a `Flux2Transformer2DModel` of the file's shapes."""
    from diffusers import Flux2Transformer2DModel

    inner, channels = shape_in(shapes, "x_embedder.weight", 2)
    (head,) = shape_in(shapes, "transformer_blocks.0.attn.norm_q.weight", 1)
    hidden, _ = shape_in(shapes, "transformer_blocks.0.ff.linear_in.weight", 2)
    if head % 8 or inner % head or hidden % 2:
        raise WeightsError(
            f"the attention has heads of {head} in a width of {inner}; expected whole heads, of 128"
        )
    return Flux2Transformer2DModel(
        in_channels=channels,
        out_channels=shape_in(shapes, "proj_out.weight", 2)[0],
        num_layers=count_layers(shapes, "transformer_blocks"),
        num_single_layers=count_layers(shapes, "single_transformer_blocks"),
        attention_head_dim=head,
        num_attention_heads=inner // head,
        joint_attention_dim=shape_in(shapes, "context_embedder.weight", 2)[1],
        timestep_guidance_channels=shape_in(
            shapes, "time_guidance_embed.timestep_embedder.linear_1.weight", 2
        )[1],
        mlp_ratio=hidden / (2 * inner),
        axes_dims_rope=(head // 4,) * 4,
        guidance_embeds=False,
    )


def make_autoencoder(shapes: PartShapes) -> Any:
    """Return an `AutoencoderKLFlux2` of the file's shapes; how many batches its norm has seen does not matter."""
    from diffusers import AutoencoderKLFlux2

    config = autoencoder_config(shapes)
    network: Any = AutoencoderKLFlux2(**config, decoder_block_out_channels=decoder_widths(shapes))
    network.bn.num_batches_tracked = None
    return network

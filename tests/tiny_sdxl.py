"""SDXL checkpoints of the real classes and the real file layouts, too small to have learned anything.

    folder = write_tiny_sdxl(tmp_path / "base")                      # a diffusers folder
    file = write_tiny_file(tmp_path / "base.safetensors", folder)    # the same weights as one file

Three levels with SDXL's blocks, an autoencoder of factor 8, two text encoders.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from allaprima.paint.bases.sdxl.published import Shapes

Kind = Literal["base", "turbo", "lcm"]

_WEIGHTS = ("unet", "vae", "text_encoder", "text_encoder_2")

WIDTH = 32
"""Of each text encoder."""
_BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def write_tiny_sdxl(
    folder: Path,
    kind: Kind = "base",
    *,
    prediction: Literal["epsilon", "v_prediction"] = "epsilon",
    scheduler: dict[str, Any] | None = None,
    embedded_guidance: bool = False,
    reads_mask: bool = False,
    force_zeros: bool = True,
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
) -> Path:
    """Write a diffusers folder and return it.

    Args:
        folder: where to.
        kind: which scheduler goes with it, as in the published checkpoints.
        prediction: what the UNet is said to predict.
        scheduler: settings of the scheduler that differ.
        embedded_guidance: the UNet is told the guidance, as LCM's is.
        reads_mask: the UNet has 9 channels, as those of inpainting checkpoints.
        force_zeros: zeros stand for the empty negative prompt.
        dtype: what the weights are stored in.
        variant: the word in the middle of the weight files' names, such as "fp16".
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = letter_tokenizer(), letter_tokenizer("!")
        kind_of_pipeline = StableDiffusionXLInpaintPipeline if reads_mask else StableDiffusionXLPipeline
        pipeline = kind_of_pipeline(
            unet=tiny_unet(embedded_guidance=embedded_guidance, channels=9 if reads_mask else 4),
            vae=_autoencoder(),
            text_encoder=CLIPTextModel(_text_config(len(first))),
            text_encoder_2=CLIPTextModelWithProjection(_text_config(len(second))),
            tokenizer=first,
            tokenizer_2=second,
            scheduler=_scheduler(kind, {"prediction_type": prediction, **(scheduler or {})}),
            force_zeros_for_empty_prompt=force_zeros,
            add_watermarker=False,
        )
    pipeline.to(dtype).save_pretrained(folder, safe_serialization=True, variant=variant)
    return folder


def letter_tokenizer(padding: str = "<|endoftext|>") -> CLIPTokenizer:
    """Return a CLIP tokenizer of the real class whose pieces are the printable ASCII characters."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=padding, model_max_length=77)


def write_tiny_file(
    path: Path, folder: Path, *, drop: str | None = None, extra: dict[str, torch.Tensor] | None = None
) -> Path:
    """Write the weights of a diffusers folder as one file in the layout that SDXL was published in.

    Args:
        path: where to.
        folder: what `write_tiny_sdxl` wrote.
        drop: leave out the tensors whose names begin so.
        extra: tensors to add.
    """
    stored = {part: load_file(next((folder / part).glob("*.safetensors"))) for part in _WEIGHTS}
    first, second = _prefixed(stored["text_encoder"]), _open_clip(_prefixed(stored["text_encoder_2"]))
    tensors = {
        **{f"model.diffusion_model.{name}": value for name, value in _original_unet(stored["unet"]).items()},
        **{
            f"first_stage_model.{name}": value for name, value in _original_autoencoder(stored["vae"]).items()
        },
        **{f"conditioner.embedders.0.transformer.{name}": value for name, value in first.items()},
        **{f"conditioner.embedders.1.model.{name}": value for name, value in second.items()},
        **(extra or {}),
    }
    kept = {k: v.contiguous() for k, v in tensors.items() if drop is None or not k.startswith(drop)}
    save_file(kept, path, {"modelspec.architecture": "stable-diffusion-xl-v1-base"})
    return path


def give_scheduler(folder: Path, kind: Kind, **settings: Any) -> Path:
    """Put another scheduler into a diffusers folder and return the folder."""
    scheduler = _scheduler(kind, settings)
    scheduler.save_pretrained(folder / "scheduler")
    edit_json(folder / "model_index.json", scheduler=["diffusers", type(scheduler).__name__])
    return folder


def shapes_of(folder: Path) -> Shapes:
    """Return what the parts of a diffusers folder look like, for the file made of it."""
    unet, vae, first, second = (_read(folder / part / "config.json") for part in _WEIGHTS)
    tokenizers = (letter_tokenizer(), letter_tokenizer("!"))
    return Shapes(
        unet=unet,
        vae=vae,
        text_encoder=first,
        text_encoder_2=second,
        scheduler=_read(folder / "scheduler" / "scheduler_config.json"),
        tokenizers=lambda: tokenizers,
    )


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; a key that is to be None is taken out."""
    data = {**_read(path), **changes}
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}), encoding="utf-8")


def tiny_unet(
    widths: tuple[int, int, int] = (16, 32, 32), *, groups: int = 8, text: int = WIDTH, times: int = 8,
    embedded_guidance: bool = False, channels: int = 4,
) -> UNet2DConditionModel:  # fmt: skip
    """Return SDXL's denoiser: three levels, as its layers' names need.

    Args:
        widths: of the levels.
        groups: of each normalisation.
        text: width of each of the two text encoders.
        times: numbers that each side of the size conditioning becomes.
        embedded_guidance: it is told the guidance, as LCM's is.
        channels: that it reads; 9 with a mask and a masked picture.
    """
    return UNet2DConditionModel(
        in_channels=channels,
        sample_size=8,
        block_out_channels=widths,
        norm_num_groups=groups,
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=times,
        projection_class_embeddings_input_dim=6 * times + text,
        cross_attention_dim=2 * text,
        time_cond_proj_dim=16 if embedded_guidance else None,
    ).eval()


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
        layers_per_block=2,
        sample_size=64,
        scaling_factor=0.13025,
        force_upcast=True,
    ).eval()


def _text_config(words: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=WIDTH,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )


def _scheduler(kind: Kind, settings: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        # numpy asks torch for a copy in a way that diffusers' schedulers do not answer yet.
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
        if kind == "turbo":
            return EulerAncestralDiscreteScheduler(**{**_BETAS, "timestep_spacing": "trailing", **settings})
        if kind == "lcm":
            return LCMScheduler(**{**_BETAS, "steps_offset": 1, **settings})
        leading = {"timestep_spacing": "leading", "steps_offset": 1}
        return EulerDiscreteScheduler(**{**_BETAS, **leading, **settings})


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def _prefixed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give CLIP's tensors the names that all versions of transformers once wrote."""
    bare = ("text_model.", "text_projection")
    return {k if k.startswith(bare) else f"text_model.{k}": v for k, v in tensors.items()}


_UNET_NAMES = (
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
    *(
        (f"down_blocks.{i}.resnets.{j}", f"input_blocks.{3 * i + j + 1}.0")
        for i in range(3)
        for j in range(2)
    ),
    *(
        (f"down_blocks.{i}.attentions.{j}", f"input_blocks.{3 * i + j + 1}.1")
        for i in range(3)
        for j in range(2)
    ),
    *((f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{3 * i + 3}.0.op") for i in range(2)),
    *((f"up_blocks.{i}.resnets.{j}", f"output_blocks.{3 * i + j}.0") for i in range(3) for j in range(3)),
    *((f"up_blocks.{i}.attentions.{j}", f"output_blocks.{3 * i + j}.1") for i in range(3) for j in range(3)),
    *((f"up_blocks.{i}.upsamplers.0", f"output_blocks.{3 * i + 2}.2") for i in range(2)),
    ("mid_block.resnets.0", "middle_block.0"),
    ("mid_block.attentions.0", "middle_block.1"),
    ("mid_block.resnets.1", "middle_block.2"),
)
_RESNET_NAMES = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)


def _original_unet(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in tensors.items():
        ours, theirs = max(
            (pair for pair in _UNET_NAMES if name.startswith(f"{pair[0]}.")), key=lambda pair: len(pair[0])
        )
        rest = name.removeprefix(ours)
        if ".resnets." in name:
            rest = _renamed(rest, _RESNET_NAMES)
        found[theirs + rest] = tensor
    return found


_AUTOENCODER_NAMES = (
    *((f"down_blocks.{i}.resnets.{j}.", f"down.{i}.block.{j}.") for i in range(4) for j in range(2)),
    *((f"down_blocks.{i}.downsamplers.0.", f"down.{i}.downsample.") for i in range(4)),
    *((f"up_blocks.{i}.resnets.{j}.", f"up.{3 - i}.block.{j}.") for i in range(4) for j in range(3)),
    *((f"up_blocks.{i}.upsamplers.0.", f"up.{3 - i}.upsample.") for i in range(4)),
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.", "mid.attn_1."),
    ("conv_norm_out.", "norm_out."),
    ("conv_shortcut.", "nin_shortcut."),
    ("group_norm.", "norm."),
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("to_out.0.", "proj_out."),
)


def _original_autoencoder(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in tensors.items():
        # The original's attention is made of 1x1 convolutions.
        pointwise = ".attentions." in name and tensor.ndim == 2
        found[_renamed(name, _AUTOENCODER_NAMES)] = tensor[:, :, None, None] if pointwise else tensor
    return found


_OPEN_CLIP_NAMES = (
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.embeddings.token_embedding", "token_embedding"),
    ("text_model.final_layer_norm", "ln_final"),
    ("text_model.encoder.layers", "transformer.resblocks"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn", "attn"),
)


def _open_clip(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in tensors.items():
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif ".q_proj." in name:
            parts = [tensors[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            joined = _renamed(name, _OPEN_CLIP_NAMES).replace(".q_proj.", ".in_proj_")
            found[joined] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            found[_renamed(name, _OPEN_CLIP_NAMES)] = tensor
    return found


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for ours, theirs in table:
        name = name.replace(ours, theirs)
    return name

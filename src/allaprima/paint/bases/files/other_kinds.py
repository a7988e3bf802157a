"""Files that no base here is made of, told from the names of their tensors: what they are, and the way out.

The names are those of the models' own repositories and of diffusers' `single_file_utils.CHECKPOINT_KEY_NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass

from allaprima.paint.bases.files.header import FileHeader

_PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "net.", "transformer.")
_LORA_MARKS = (
    ".lora_", "_lora.", ".hada_w", ".lokr_w", ".dora_scale", ".oft_blocks", ".lora.", ".diff_b",
)  # fmt: skip
_LORA_ENDS = (".alpha",)
_NO_LORA_ENDS = (".qweight", ".wscales")
"""SVDQuant's models have a low-rank half beside each layer, which they call so."""
_LORA_STARTS = ("lora_unet_", "lora_te", "lora_transformer_", "lycoris_", "base_model.model.")


@dataclass(frozen=True, kw_only=True)
class OtherKind:
    """A kind of file that is no base's part."""

    kind: str
    """In one or two words, such as "lora" or "transformer"."""
    name: str
    """In a sentence: "it is NAME"."""
    way_out: str = ""
    """What to do instead, in a clause."""


_NOT_HERE = "no family of bases here paints with it (docs/concepts/bases.md lists them)"
_RESEARCH = "whose licence is for research alone; Qwen-Image-2512 (Apache-2.0) is painted with"


def _model(name: str, way_out: str = _NOT_HERE) -> OtherKind:
    return OtherKind(kind="transformer", name=name, way_out=way_out)


def _text_encoder(name: str, way_out: str) -> OtherKind:
    return OtherKind(kind="text encoder", name=f"a text encoder alone ({name})", way_out=way_out)


_UNET = OtherKind(kind="unet", name="a UNet alone", way_out="give the whole checkpoint")
_NOT_PAINTED_WITH = "which is not painted with"
_VIDEOS = "which makes videos"

# The first entry counts of which a tensor's name starts with a mark, so the more particular come first.
_TABLE: tuple[tuple[tuple[str, ...], OtherKind], ...] = (
    (("cond_stage_model.transformer.",), OtherKind(kind="checkpoint", name="Stable Diffusion 1", way_out=_NOT_HERE)),
    (("cond_stage_model.model.",), OtherKind(kind="checkpoint", name="Stable Diffusion 2", way_out=_NOT_HERE)),
    (
        ("conditioner.embedders.0.model.",),
        OtherKind(kind="checkpoint", name="SDXL's refiner", way_out="give SDXL's base model"),
    ),
    (
        (
            "control_model.", "controlnet_cond_embedding.", "controlnet_blocks.", "control_all_x_embedder.",
        ),
        OtherKind(kind="controlnet", name="a ControlNet", way_out=_NOT_PAINTED_WITH),
    ),
    (
        ("image_proj.", "ip_adapter."),
        OtherKind(kind="ip-adapter", name="an IP-Adapter", way_out=_NOT_PAINTED_WITH),
    ),
    (
        ("emb_params", "clip_g", "clip_l", "string_to_param"),
        OtherKind(kind="embedding", name="an embedding (textual inversion)", way_out=_NOT_PAINTED_WITH),
    ),
    (("txt_in.text_norm.",), _model("Qwen-Image-2.1's transformer", _RESEARCH)),
    (("__index_timestep_zero__",), _model("Qwen-Image-Edit's transformer", "which changes pictures after words")),
    (("time_text_embed.addition_t_embedding.",), _model("Qwen-Image-Layered's transformer")),
    (("txtfusion.projector.",), _model("Krea 2's transformer")),
    (("llm_adapter.",), _model("Anima's transformer")),
    (("early_stream_modulations.", "ref_time_in."), _model("FLUX.3's transformer")),
    (("double_stream_modulation_img.", "single_stream_modulation."), _model("FLUX.2's transformer")),
    (("distilled_guidance_layer.",), _model("Chroma's transformer")),
    (("txt_in.individual_token_refiner.",), _model("HunyuanVideo's transformer", _VIDEOS)),
    (("double_blocks.", "single_blocks.", "single_transformer_blocks."), _model("FLUX.1's transformer")),
    (("joint_blocks.",), _model("Stable Diffusion 3's transformer")),
    (("double_stream_blocks.",), _model("HiDream's transformer")),
    (("double_layers.",), _model("AuraFlow's transformer")),
    (
        ("noise_refiner.", "layers.0.adaLN_modulation.", "cap_embedder."),
        _model("Z-Image's or Lumina's transformer"),
    ),
    (("head.modulation", "vace_blocks."), _model("Wan's transformer", _VIDEOS)),
    (("patchify_proj.", "adaln_single."), _model("LTX's transformer", _VIDEOS)),
    (("caption_projection.", "blocks.0.cross_attn.q_linear."), _model("Sana's or PixArt's transformer")),
    (("blocks.0.adaln_modulation_", "blocks.0.self_attn.q_proj."), _model("Cosmos' transformer")),
    (("input_blocks.", "down_blocks.0.resnets.0.time_emb_proj."), _UNET),
    (
        ("encoder.block.0.layer.0.SelfAttention.", "enc.blk.", "shared.weight"),
        _text_encoder("T5", "which no base here reads with"),
    ),
    (
        (
            "text_model.", "text_projection", "conditioner.embedders.", "transformer.resblocks.",
            "embeddings.token_embedding.",
        ),
        _text_encoder("CLIP", "SDXL's checkpoints bring theirs"),
    ),
    (
        ("model.layers.", "model.language_model.", "layers.0.self_attn.", "token_embd.", "blk.0.", "language_model."),
        _text_encoder("a language model", "which no base here reads with"),
    ),
    (
        ("v.blk.", "mm."),
        OtherKind(kind="vision", name="a vision tower (mmproj)", way_out="which no base here looks with"),
    ),
    (
        ("first_stage_model.", "decoder.", "encoder.", "vae."),
        OtherKind(kind="vae", name="an autoencoder alone", way_out="of a kind that no base here decodes with"),
    ),
    (
        ("down_blocks.", "up_blocks.", "transformer_blocks."),
        OtherKind(kind="part", name="one part of a diffusers folder", way_out="give the whole folder"),
    ),
    (
        ("body.", "model.0.", "conv_first."),
        OtherKind(kind="upscaler", name="an upscaler", way_out="give it to prima retouch"),
    ),
)  # fmt: skip

_ARCHITECTURES = {
    "flux": _model("FLUX.1's transformer"), "sd1": _UNET, "sdxl": _UNET,
    "sd3": _model("Stable Diffusion 3's transformer"), "wan": _model("Wan's transformer", _VIDEOS),
    "ltxv": _model("LTX's transformer", _VIDEOS), "hyvid": _model("HunyuanVideo's transformer", _VIDEOS),
    "hidream": _model("HiDream's transformer"), "cosmos": _model("Cosmos' transformer"),
    "aura": _model("AuraFlow's transformer"), "lumina2": _model("Lumina's or Z-Image's transformer"),
    "clip": OtherKind(kind="vision", name="a vision tower (mmproj)", way_out="which no base here looks with"),
}  # fmt: skip
"""By `general.architecture` of a GGUF file."""


def is_lora(header: FileHeader) -> bool:
    """Return whether the tensors' names are those of a LoRA, in any dialect."""
    if any(name.endswith(_NO_LORA_ENDS) for name in header.tensors):
        return False
    return any(
        name.startswith(_LORA_STARTS)
        or name.endswith(_LORA_ENDS)
        or any(mark in name for mark in _LORA_MARKS)
        for name in header.tensors
    )


def find_other(header: FileHeader) -> OtherKind:
    """Return what a file that is no base's part is, in the nearest words there are."""
    if is_lora(header):
        return OtherKind(kind="lora", name="a LoRA", way_out="give it with --lora")
    if known := _ARCHITECTURES.get(str(header.metadata.get("general.architecture"))):
        return known
    for marks, kind in _TABLE:
        if any(header.starts_with(*(f"{prefix}{mark}" for mark in marks)) for prefix in _PREFIXES):
            return kind
    if not header.tensors:
        return OtherKind(kind="empty", name="a file that holds no tensors", way_out="fetch it again")
    first = min(header.tensors)[:80]
    return OtherKind(
        kind="unknown", name=f"of a kind that is not known: its first tensor is {first!r}", way_out=_NOT_HERE
    )

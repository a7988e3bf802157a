"""Reading a Qwen-Image checkpoint from a diffusers folder: only safetensors, and only the classes named here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.config_values import check_latent_statistics, is_number
from allaprima.paint.bases.folder import check_parts, find_variant, read_json
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.text import PromptEncoder
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.flow_schedule import FlowSettings

PARTS = {
    "transformer": ("QwenImageTransformer2DModel",),
    "vae": ("AutoencoderKLQwenImage",),
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration",),
    "tokenizer": ("Qwen2Tokenizer", "Qwen2TokenizerFast"),
    "scheduler": ("FlowMatchEulerDiscreteScheduler",),
}
_WEIGHTS = ("transformer", "vae", "text_encoder")
_OTHER_CURVES = (
    "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas", "stochastic_sampling",
)  # fmt: skip


def load_qwen_image(
    folder: Path,
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
) -> QwenImageBase:
    """Load the checkpoint in `folder`.

    Args:
        folder: with model_index.json, transformer/, text_encoder/, vae/, tokenizer/ and scheduler/.

    Raises:
        WeightsError: a part is missing, of another class, a pickle, damaged, or does not go with the others.
    """
    check_parts(folder, PARTS, weights=_WEIGHTS, tokenizers=("tokenizer",))
    flow = read_flow_settings(folder / "scheduler" / "scheduler_config.json")
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype

    from diffusers import QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder
    from allaprima.paint.bases.qwen_image.rotary import join_rotary

    tokenizer = _read(
        folder / "tokenizer", lambda path: Qwen2Tokenizer.from_pretrained(path, local_files_only=True)
    )

    def network(stage: Stage, model: Any, part: str) -> Any:
        if stage in absent:
            return _make_without_weights(model, folder / part, dtype)
        return _load(model, folder / part, dtype)

    autoencoder = network("decode", FrameAutoencoder, "vae").flatten()
    encoder = drop_unused_parts(network("text", Qwen2_5_VLForConditionalGeneration, "text_encoder"))
    transformer = network("predict", QwenImageTransformer2DModel, "transformer")
    check_together(folder, transformer.config, autoencoder.config, encoder.config)
    for stage, loaded in (("decode", autoencoder), ("text", encoder), ("predict", transformer)):
        if stage not in absent:
            loaded.to(device)
    join_rotary(transformer)
    return QwenImageBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=PromptEncoder(encoder=encoder, tokenizer=tokenizer),
        name=shown_name(str(folder)) if name is None else name,
        flow=flow,
    )


def read_flow_settings(path: Path) -> FlowSettings:
    """Return the settings of a scheduler_config.json."""
    config = read_json(path)
    if config.get("num_train_timesteps", 1000) != 1000 or any(config.get(name) for name in _OTHER_CURVES):
        raise WeightsError(
            f"{path} asks for another scheduler than Qwen-Image's; expected 1000 times, shifted only"
        )
    named = (field.name for field in fields(FlowSettings))
    known = {name: config[name] for name in named if config.get(name) is not None}
    others = {"use_dynamic_shifting", "time_shift_type"}
    are_numbers = all(is_number(value) for key, value in known.items() if key not in others)
    if not are_numbers or known.get("time_shift_type", "linear") not in ("exponential", "linear"):
        raise WeightsError(
            f"{path} has settings that are no numbers; expected those of {PARTS['scheduler'][0]}"
        )
    try:
        return FlowSettings(**known)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be followed: {error}") from error


def _load(model: Any, part: Path, dtype: torch.dtype) -> Any:
    """Load a network; refuse missing weights, and those that do not belong to it."""
    with quiet():
        loaded, info = _read(
            part,
            lambda path: model.from_pretrained(
                path,
                torch_dtype=dtype,
                use_safetensors=True,
                variant=find_variant(part),
                local_files_only=True,
                output_loading_info=True,
            ),
        )
    for problem, what in (
        ("missing_keys", "lacks"),
        ("mismatched_keys", "has in another shape"),
        ("unexpected_keys", "has too much"),
    ):
        if names := sorted(str(name) for name in info.get(problem, ())):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(f"{part} {what}: {names[0]}{more}; expected a whole {model.__name__}")
    return loaded.eval().requires_grad_(False)


def _make_without_weights(model: Any, part: Path, dtype: torch.dtype) -> Any:
    """Make a network of the right shape, with its weights on the meta device."""
    from accelerate import init_empty_weights
    from transformers import PretrainedConfig

    def make(part: Path) -> Any:
        config: Any = read_json(part / "config.json")
        if issubclass(getattr(model, "config_class", None) or object, PretrainedConfig):
            return model(model.config_class(**config))
        return model.from_config(config)

    with quiet(), init_empty_weights():
        made = _read(part, make)
    for parameter in made.parameters():
        parameter.data = parameter.data.to(dtype)
    return made.eval().requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and warnings; this module checks what they are about."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    libraries: tuple[Any, ...] = (of_diffusers, of_transformers)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, (verbosity, bars) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()


def _read(part: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(part)
    except DAMAGED as error:
        raise WeightsError(f"{part} cannot be read: {in_one_line(error)}; fetch the model again") from error


def drop_unused_parts(encoder: Any) -> Any:
    """Return the language model without its vision tower and its head, 1.2 of its 8.3 billion weights."""
    encoder.model.visual = nn.Identity()
    encoder.lm_head = nn.Identity()
    return encoder


def check_together(folder: Path, transformer: Any, autoencoder: Any, encoder: Any) -> None:
    try:
        check_latent_statistics(autoencoder.latents_mean, autoencoder.latents_std, autoencoder.z_dim)
    except ValueError as error:
        raise WeightsError(f"{folder / 'vae'} cannot be followed: {error}") from error
    channels, width = transformer.in_channels, transformer.joint_attention_dim
    if channels != 4 * autoencoder.z_dim or transformer.out_channels != autoencoder.z_dim:
        raise WeightsError(
            f"the transformer in {folder} takes {channels} channels and the autoencoder makes {autoencoder.z_dim}; "
            "expected four times as many, as in files of one model"
        )
    if width != encoder.text_config.hidden_size:
        raise WeightsError(
            f"the transformer in {folder} reads text of width {width} and the text encoder writes "
            f"{encoder.text_config.hidden_size}; expected files of one model"
        )
    if transformer.patch_size != 2 or transformer.guidance_embeds:
        raise WeightsError(
            f"the transformer in {folder} is of a kind that Qwen-Image is not; expected patches of 2x2"
        )

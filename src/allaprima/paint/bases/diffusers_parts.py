"""Parts of a diffusers folder as networks and tokenizers: whole, or refused in one sentence.

network = load_network(QwenImageTransformer2DModel, folder / "transformer", torch.bfloat16)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.folder import find_variant, read_json
from allaprima.paint.contract.base import Stage


def load_network(model: Any, part: Path, dtype: torch.dtype, *, unused: Collection[str] = ()) -> Any:
    """Load a network; refuse missing weights, and those that do not belong to it.

    Args:
        model: its class, of diffusers or transformers.
        part: the folder with its configuration and weights.
        dtype: what it computes in.
        unused: weights that the files may hold although the class has no place for them.
    """
    with quiet():
        loaded, info = read_part(
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
        if names := sorted({str(name) for name in info.get(problem, ())} - set(unused)):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(f"{part} {what}: {names[0]}{more}; expected a whole {model.__name__}")
    return loaded.eval().requires_grad_(False)


def load_present(model: Any, part: Path, dtype: torch.dtype, *, absent: bool) -> Any:
    """Load a network, or make it without its weights if it is to be `absent`."""
    return outline_network(model, part, dtype) if absent else load_network(model, part, dtype)


def move_present(networks: Mapping[Stage, Any], device: torch.device, absent: Collection[Stage]) -> None:
    """Move the networks that have weights to `device`."""
    for stage, network in networks.items():
        if stage not in absent:
            network.to(device)


def outline_network(model: Any, part: Path, dtype: torch.dtype) -> Any:
    """Make a network of the right shape, with its weights on the meta device."""
    from accelerate import init_empty_weights
    from transformers import PretrainedConfig

    def make(part: Path) -> Any:
        config: Any = read_json(part / "config.json")
        if issubclass(getattr(model, "config_class", None) or object, PretrainedConfig):
            return model(model.config_class(**config))
        return model.from_config(config)

    with quiet(), init_empty_weights():
        made = read_part(part, make)
    for parameter in made.parameters():
        parameter.data = parameter.data.to(dtype)
    return made.eval().requires_grad_(False)


def read_part(part: Path, read: Callable[[Path], Any]) -> Any:
    """Return what `read` makes of a part; WeightsError for what libraries raise on a damaged one."""
    try:
        return read(part)
    except DAMAGED as error:
        raise WeightsError(f"{part} cannot be read: {in_one_line(error)}; fetch the model again") from error


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

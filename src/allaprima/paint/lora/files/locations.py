"""Where the weights of a LoRA lie: in a file of their own, or in a folder beside their configuration.

NAME.safetensors
NAME/adapter_config.json  with  NAME/pytorch_lora_weights.safetensors  or  NAME/adapter_model.safetensors
"""

from __future__ import annotations

from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import BESIDE
from allaprima.paint.lora.files.header import pickle_refusal

SUFFIX = ".safetensors"
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
STEMS = ("pytorch_lora_weights", "adapter_model")
"""What diffusers and PEFT call the file in a folder."""


def weights_at(path: Path) -> Path:
    """Return the file that holds the weights of the LoRA at `path`, a file or a folder."""
    try:
        if not path.is_dir():
            if path.suffix.lower() in PICKLES:
                raise LoraError(pickle_refusal(path))
            return path
        files = sorted(path.iterdir())
    except (OSError, ValueError) as error:
        if isinstance(error, LoraError):
            raise
        raise LoraError(f"cannot look into {str(path)!r}: {error}; expected a LoRA") from error
    weights = [file for file in files if file.suffix.lower() == SUFFIX]
    known = [file for stem in STEMS for file in weights if file.stem == stem]
    if known or len(weights) == 1:
        return (known or weights)[0]
    if pickled := [file for file in files if file.suffix.lower() in PICKLES]:
        raise LoraError(pickle_refusal(pickled[0]))
    got = f"{len(weights)} files" if weights else "no file"
    raise LoraError(f"{path} holds {got} ending in {SUFFIX}; expected one, beside {BESIDE}")


def holds_one_lora(path: Path) -> bool:
    """Return whether the folder `path` holds one LoRA, under a usual name or beside its configuration.

    Several files that are no two forms of one are LoRAs of their own: none of them hides the others.
    """
    files = [file for file in path.iterdir() if not file.is_dir()]
    weights = {file.stem for file in files if file.suffix.lower() == SUFFIX}
    weights = weights or {file.stem for file in files if file.suffix.lower() in PICKLES}
    if weights & set(STEMS):
        return weights <= set(STEMS)
    return (path / BESIDE).is_file() and len(weights) < 2


def title_of(weights: Path) -> str:
    """Return what to call the LoRA whose weights lie at `weights`."""
    return weights.parent.name if weights.stem in STEMS else weights.stem

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
    weights = [file for file in files if file.suffix == SUFFIX]
    known = [path / f"{stem}{SUFFIX}" for stem in STEMS if path / f"{stem}{SUFFIX}" in weights]
    if known or len(weights) == 1:
        return (known or weights)[0]
    if pickled := [file for file in files if file.suffix.lower() in PICKLES]:
        raise LoraError(pickle_refusal(pickled[0]))
    got = f"{len(weights)} files" if weights else "no file"
    raise LoraError(f"{path} holds {got} ending in {SUFFIX}; expected one, beside {BESIDE}")


def is_lora_folder(path: Path) -> bool:
    """Return whether `path` is a folder that holds one LoRA, whatever its weights are."""
    if not path.is_dir():
        return False
    stems = {file.stem for file in path.iterdir() if file.suffix == SUFFIX or file.suffix in PICKLES}
    return (path / BESIDE).is_file() or bool(stems & set(STEMS))


def title_of(weights: Path) -> str:
    """Return what to call the LoRA whose weights lie at `weights`."""
    return weights.parent.name if weights.stem in STEMS else weights.stem

"""Pickled weights to safetensors, in a process of their own.

A pickle can run programs when it is read. torch refuses that with `weights_only`, and should it fail, what runs is
a process that holds no model and nobody waits for. Nothing else in this package reads a pickle.

    python -m allaprima.paint.lora.files.unpickle pytorch_lora_weights.bin pytorch_lora_weights.safetensors
"""

from __future__ import annotations

import pickle
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from allaprima.core.errors import AllaPrimaError, LoraError, OutputError
from allaprima.core.files import check_target, write_whole
from allaprima.paint.lora.files.adapter_config import BESIDE, EMBEDDED, MAX_CONFIG_BYTES
from allaprima.paint.lora.files.header import MAX_FILE_BYTES, is_pickle, opened, read_header
from allaprima.paint.lora.files.keys import check_layers, parse_keys
from allaprima.paint.lora.files.locations import PICKLES, SUFFIX

TIMEOUT_S = 600
_REFUSED = 3
_NESTED = ("state_dict", "params_ema", "params")
"""Where trainings put their weights: those of Lightning, and of upscalers, whose averaged weights come first."""


def convert(source: Path, target: Path | None = None, *, overwrite: bool = False) -> Path:
    """Write the tensors of a pickle as safetensors and return where they are.

    PEFT's configuration beside the pickle goes into the file, for it holds the alpha.

    Args:
        source: the pickle, or the folder that holds one.
        target: by default beside `source`, under its name, ending in .safetensors.
        overwrite: write over a file that is there.

    Raises:
        LoraError: the pickle holds more than tensors, or cannot be read.
        OutputError: the target cannot be written.
    """
    pickled = _pickle_at(source)
    target = target or pickled.with_suffix(SUFFIX)
    if target.suffix != SUFFIX:
        raise LoraError(f"got {target} to write; expected a name that ends in {SUFFIX}")
    if target.exists() and not overwrite:
        raise LoraError(f"{target} is there already; expected a new name, or --overwrite")
    check_target(target)
    place = target.resolve()  # a link keeps pointing where it points
    draft = place.with_name(f".{secrets.token_hex(6)}.part")
    try:
        _convert_apart(pickled, draft)
        _judge(draft, pickled)
        draft.replace(place)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}; expected a folder that is open to you"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return target


def _judge(draft: Path, pickled: Path) -> None:
    """Make sure that what was converted can be read, before it takes the place of what can."""
    try:
        entries = read_header(draft).layout.entries
        check_layers(draft, parse_keys(draft, entries), entries)
    except LoraError as error:
        raise LoraError(f"cannot convert {str(error).replace(str(draft), str(pickled))}") from error


def _convert_apart(pickled: Path, draft: Path) -> None:
    """Have the process apart write `draft`."""
    options = ("-P", "-W", "ignore", "-m", "allaprima.paint.lora.files.unpickle")
    command = [sys.executable, *options, str(pickled), str(draft)]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoraError(f"{pickled} took longer than {TIMEOUT_S} s; expected weights alone") from error
    if ran.returncode:
        reason = (
            ran.stdout.strip() if ran.returncode == _REFUSED else f"the process ended with {ran.returncode}"
        )
        raise LoraError(
            f"cannot convert {pickled}: {reason[:400]}; expected a pickle of tensors and nothing else"
        )


def _pickle_at(source: Path) -> Path:
    pickled = source
    if source.is_dir():
        pickles = sorted(file for file in source.iterdir() if file.suffix.lower() in PICKLES)
        if len(pickles) != 1:
            raise LoraError(f"{source} holds {len(pickles)} pickles; expected one, name it")
        pickled = pickles[0]
    if not pickled.is_file() or pickled.stat().st_size > MAX_FILE_BYTES:
        raise LoraError(f"got {source}; expected a file of pickled weights of at most {MAX_FILE_BYTES} bytes")
    if pickled.suffix.lower() == SUFFIX and not _is_pickle(pickled):
        raise LoraError(
            f"{pickled} ends in {SUFFIX} already; expected a pickle such as pytorch_lora_weights.bin"
        )
    return pickled.absolute()  # not what a link points at: the configuration lies beside the link


def _is_pickle(path: Path) -> bool:
    with opened(path) as (file, file_bytes):
        return is_pickle(file.read(9), file_bytes)


def convert_here(source: Path, target: Path) -> None:
    """Do the work, in the process apart: whatever goes wrong here, the target is not written."""
    with source.open("rb") as file:  # not by its path, for torch goes by the ending
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    for inner in _NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(inner), dict):
            loaded = loaded[inner]
            break
    if not isinstance(loaded, dict) or not loaded:
        raise LoraError(f"it holds {type(loaded).__name__}")
    tensors = {name: _tensor(name, value) for name, value in loaded.items()}
    metadata = {"format": "pt"}
    config = source.with_name(BESIDE)
    if config.is_file() and config.stat().st_size <= MAX_CONFIG_BYTES:
        metadata[EMBEDDED] = config.read_text(encoding="utf-8")
    write_whole(target, safetensors.torch.save(tensors, metadata), overwrite=True)


def _tensor(name: Any, value: Any) -> Tensor:
    if not isinstance(name, str):
        raise LoraError(f"it names a tensor {str(name)[:40]}")
    if isinstance(value, float | int) and name.endswith(".alpha"):
        return torch.tensor(float(value))
    if not isinstance(value, Tensor):
        raise LoraError(f"{name[:80]} is {type(value).__name__}")
    if not (value.is_floating_point() or value.numel() == 1):
        raise LoraError(f"{name[:80]} holds {value.dtype}")
    return value.detach().clone(memory_format=torch.contiguous_format)


def main() -> int:
    """Convert what the command line names; a refusal is a sentence on stdout and its own exit code."""
    try:
        convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
    except pickle.UnpicklingError:
        print("it holds objects that are no tensors")
    except (AllaPrimaError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        print(str(error).partition("\n")[0])
    else:
        return 0
    return _REFUSED


if __name__ == "__main__":
    sys.exit(main())

"""The folders of models that a person names: folders of ComfyUI and A1111, or ComfyUI's list of them.

    folders = expand_models_dirs([Path("~/ComfyUI/models"), Path("~/ComfyUI/extra_model_paths.yaml")])

`extra_model_paths.yaml` names, for each program, a `base_path` and folders below it, by what they hold. It is read as
the file itself, or in a folder that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from allaprima.core.errors import RequestError
from allaprima.core.user_paths import expand, is_file, is_folder

LIST_NAME = "extra_model_paths.yaml"
_MAX_LIST_BYTES = 1 << 20
_MAX_FOLDERS = 1000
_SETTINGS = {"base_path", "is_default"}
"""Keys of a program's entry that are no kind of model."""


def expand_models_dirs(models_dirs: Sequence[Path]) -> list[Path]:
    """Return all folders that `models_dirs` name, each once, in order.

    Raises:
        RequestError: one is neither a folder nor a list of folders, or the list cannot be read.
    """
    for named in map(expand, models_dirs):
        if not (is_folder(named) or _is_list(named)):
            raise RequestError(
                f"got {named} as a folder of models; expected a folder that exists, or an {LIST_NAME}"
            )
    return listed_folders(models_dirs)


def listed_folders(models_dirs: Sequence[Path]) -> list[Path]:
    """Return the same without those that are not there.

    Raises:
        RequestError: a list cannot be read.
    """
    found: dict[Path, None] = {}
    for named in map(expand, models_dirs):
        if _is_list(named):
            found |= dict.fromkeys(_listed(named))
        elif is_folder(named):
            found[named] = None
            if is_file(named / LIST_NAME):
                found |= dict.fromkeys(_listed(named / LIST_NAME))
    return list(found)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml") and is_file(path)


def _listed(path: Path) -> list[Path]:
    """Return the folders in a list that are there."""
    import yaml

    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise RequestError(f"{path} is larger than a list of folders; expected ComfyUI's {LIST_NAME}")
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        raise RequestError(f"cannot read {path}: {reason}; expected ComfyUI's {LIST_NAME}") from error
    if listed is None:
        return []
    if not isinstance(listed, dict):
        raise RequestError(
            f"{path} names no folders; expected ComfyUI's {LIST_NAME}, a base_path for each program"
        )
    folders: list[Path] = []
    for program in listed.values():
        for folder in _folders_of(program, path.parent):
            if len(folders) < _MAX_FOLDERS and is_folder(folder):
                folders.append(folder)
    return folders


def _folders_of(program: Any, beside: Path) -> Iterator[Path]:
    """Yield a program's own folder and those that it keeps models in; relative ones lie beside the list."""
    if not isinstance(program, dict):
        return
    named = program.get("base_path")
    base = beside / expand(Path(named)) if isinstance(named, str) else beside
    if isinstance(named, str):
        yield base
    for kind, lines in program.items():
        if kind not in _SETTINGS and isinstance(lines, str):
            yield from (base / expand(Path(line.strip())) for line in lines.splitlines() if line.strip())

"""Models from the Hugging Face hub: painting finds them in the cache, and only `prima pull` fetches them.

The cache is shared with all other programs. huggingface_hub reads HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.folder import INDEX, PICKLES, VARIANTS, check_weight_files

_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
_REVISION = re.compile(r"[\w./-]{1,200}", re.ASCII)
_VARIANT = re.compile(rf"\.({'|'.join(VARIANTS)})[.-]")


def is_hub_id(text: str) -> bool:
    """Return whether `text` has the form owner/name."""
    return _ID.fullmatch(text) is not None and not set(text.split("/")) & {".", ".."}


def find_cached(spec: str, cache: Path | None = None) -> Path | None:
    """Return the folder in the cache that holds the model `spec`, or None, without using the network.

    Args:
        spec: owner/name for the newest, or whatever revision of it is there; owner/name@revision for that alone.
        cache: the folder of the cache; None for the one that all programs share.
    """
    from huggingface_hub import constants

    hub_id, at, revision = spec.partition("@")
    if not is_hub_id(hub_id) or (at and not _REVISION.fullmatch(revision)) or ".." in revision:
        return None
    home = (cache or Path(constants.HF_HUB_CACHE)) / f"models--{hub_id.replace('/', '--')}"
    found = [home / "snapshots" / commit for commit in _commits(home, revision)]
    found = [folder for folder in found if (folder / INDEX).is_file()]
    # Other programs fetch a model's index alone to look at it.
    return next((folder for folder in found if any(folder.glob("*/*.safetensors"))), next(iter(found), None))


def _commits(home: Path, revision: str) -> Iterator[str]:
    """Yield the commits that are in the cache, the one of `revision` alone if that is not empty."""
    ref = home / "refs" / (revision or "main")
    with suppress(OSError, ValueError):
        yield ref.read_text(encoding="ascii").strip()[:40]
    if revision:
        yield revision
    elif (home / "snapshots").is_dir():
        snapshots = (home / "snapshots").iterdir()
        yield from (
            path.name for path in sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True)
        )


def pull(
    hub_id: str, *, revision: str | None = None, variant: str | None = None, accept: Callable[[Path], object]
) -> Path:
    """Fetch the model `hub_id` into the cache, except for files already in it, and return its folder.

    Only safetensors, JSON and text inside the parts' folders are fetched: no pickle, no code, and no second copy of
    the weights in a single file.

    Args:
        hub_id: owner/name.
        revision: a branch, tag or commit; None for the newest.
        variant: the form of the weights, such as fp16, for the parts that have it; None for the plain one, and for
            parts without it any that there is.
        accept: called with the folder once its index is there; raises for a model that nothing here paints with.

    Raises:
        WeightsError: there is no such model, no permission, no network, no diffusers layout, or not all its weights.
    """
    if not is_hub_id(hub_id):
        raise WeightsError(
            f"got {hub_id[:80]!r}; expected the id of a model as owner/name, such as Qwen/Qwen-Image"
        )
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    with _told(hub_id, revision):
        files = HfApi().list_repo_files(hub_id, revision=revision)
        wanted = [glob.escape(name) for name in choose_files(hub_id, files, variant)]
        accept(Path(hf_hub_download(hub_id, INDEX, revision=revision)).parent)
        folder = Path(snapshot_download(hub_id, revision=revision, allow_patterns=wanted))
    for config in sorted(folder.glob("*/config.json")):
        check_weight_files(config.parent)
    return folder


def choose_files(hub_id: str, files: Collection[str], variant: str | None) -> list[str]:
    """Return which of the `files` of a model are to be fetched; see `pull`.

    Raises:
        WeightsError: the model has another layout, no safetensors, or none of that variant.
    """
    if INDEX not in files:
        alone = [name for name in files if name.endswith(".safetensors") and "/" not in name]
        way = f"; fetch {alone[0]} by hand and give its path" if alone else ""
        raise WeightsError(f"{hub_id} has no {INDEX}; expected a model in the layout of diffusers{way}")
    parts: dict[str, dict[str, list[str]]] = {}
    texts = []
    for name in files:
        folder, slash, file = name.rpartition("/")
        if not slash or "/" in folder:
            continue
        if file.endswith(".safetensors") or ".safetensors.index." in file:
            found = _VARIANT.search(file)
            parts.setdefault(folder, {}).setdefault(found[1] if found else "", []).append(name)
        elif file.endswith((".json", ".txt")):
            texts.append(name)
    forms = {form for part in parts.values() for form, names in part.items() if _weights(names)}
    if not forms:
        pickled = any(name.endswith(PICKLES) for name in files)
        found_instead = " but pickles, which may run any code when read" if pickled else ""
        raise WeightsError(
            f"{hub_id} has no weights{found_instead}; expected .safetensors in its parts' folders"
        )
    if variant is not None and variant not in forms:
        there = " and ".join(sorted(form or "the plain one (no --variant)" for form in forms))
        raise WeightsError(f"{hub_id} has no variant {variant[:40]!r}; expected one that it has: {there}")
    order = [*([] if variant is None else [variant]), "", *VARIANTS]
    weights = [
        name
        for part in parts.values()
        for name in next((part[form] for form in order if _weights(part.get(form, []))), [])
    ]
    return [INDEX, *texts, *weights]


def _weights(names: list[str]) -> bool:
    return any(name.endswith(".safetensors") for name in names)


@contextmanager
def _told(hub_id: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence that says what to do."""
    from huggingface_hub import errors

    # The bases are OSError and the error of the HTTP library, which differs by huggingface_hub's version.
    refused = cast(
        "tuple[type[Exception], ...]", (errors.HFValidationError, *errors.HfHubHTTPError.__bases__)
    )
    start = f"cannot fetch {hub_id}"
    try:
        yield
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"{start}: the hub cannot be reached, or HF_HUB_OFFLINE is set; what has arrived is kept, so try again "
            "with a network"
        ) from error
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{start}: its owner asks for consent; give it on the model's page, and set HF_TOKEN to a token of yours"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{start}: it has no revision {str(revision)[:80]!r}; expected a branch, tag or commit"
        ) from error
    except refused as error:
        number, reason = getattr(error, "errno", None), getattr(error, "strerror", None)
        if number is not None and reason:
            raise WeightsError(
                f"{start}: {reason}; what has arrived is kept, so try again with room"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{start}: {reason}; check its id, and HF_TOKEN if it is gated") from error

"""Models from the Hugging Face hub: painting finds them in the cache, and only `prima pull` fetches them.

The cache is shared with all other programs. huggingface_hub reads HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.folder import INDEX

_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
VARIANTS = ("fp16", "bf16", "fp32", "non_ema")


def is_hub_id(text: str) -> bool:
    """Return whether `text` has the form owner/name."""
    return _ID.fullmatch(text) is not None and not set(text.split("/")) & {".", ".."}


def find_cached(hub_id: str) -> Path | None:
    """Return the folder in the cache that holds the model `hub_id`, or None, without using the network."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(hub_id, INDEX)
    return Path(index).parent if isinstance(index, str) else None


def pull(hub_id: str, *, revision: str | None = None, variant: str | None = None) -> Path:
    """Fetch the model `hub_id` into the cache, except for files already in it, and return its folder.

    Only safetensors, JSON and text inside the parts' folders are fetched: no pickle, no code, and no second copy of
    the weights in a single file.

    Args:
        revision: a branch, tag or commit; None for the newest.
        variant: the form of the weights, such as fp16; None for the plain one.

    Raises:
        WeightsError: there is no such model, no permission, no network, or no diffusers layout.
    """
    if not is_hub_id(hub_id):
        raise WeightsError(
            f"got {hub_id[:80]!r}; expected the id of a model as owner/name, such as Qwen/Qwen-Image"
        )
    from huggingface_hub import errors, snapshot_download

    # The bases are OSError and the error of the HTTP library, which differs by huggingface_hub's version.
    refused = cast(
        "tuple[type[Exception], ...]", (errors.HFValidationError, *errors.HfHubHTTPError.__bases__)
    )
    weights = "*/*.safetensors" if variant is None else f"*/*.{variant}*.safetensors"
    others = [
        f"*.{name}{end}" for name in VARIANTS if name != variant for end in (".safetensors", "-*.safetensors")
    ]
    try:
        folder = snapshot_download(
            hub_id,
            revision=revision,
            allow_patterns=[INDEX, "*/*.json", "*/*.txt", weights],
            ignore_patterns=others,
        )
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"cannot fetch {hub_id}: the hub cannot be reached, or HF_HUB_OFFLINE is set, and not all of the model "
            "is in the cache; what has arrived is kept, so try again with a network"
        ) from error
    except refused as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"cannot fetch {hub_id}: {reason}; check its id, and HF_TOKEN if it is gated"
        ) from error
    if not (Path(folder) / INDEX).is_file():
        raise WeightsError(f"{hub_id} has no {INDEX}; expected a model in the layout of diffusers")
    return Path(folder)

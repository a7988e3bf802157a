"""The request policy of `core.request_policy`, for a base that is loaded and a folder of LoRAs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_policy import complete_request
from allaprima.core.wildcards import FindLines, no_wildcards
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.manager import LoraManager


def fill_request(
    base: Base,
    lora_manager: LoraManager | None,
    given: Mapping[str, Any],
    *,
    turbo: bool,
    find_wildcard: FindLines = no_wildcards,
) -> GenerationRequest:
    """Return a request for `base` with what is `given`, completed by the policy.

    Args:
        base: to paint with.
        lora_manager: the LoRAs that the base can wear; None if there are none.
        given: fields of the request.
        turbo: False for the plain base.
        find_wildcard: the lines of a wildcard.

    Raises:
        RequestError: a value is out of range.
        LoraError: a LoRA is not there or cannot be used.
        TypeError: a request has no field of a given name.
    """
    named = lora_metadata(lora_manager, given.get("loras", ()))

    def find_lora(name: str) -> LoraMetadata | None:
        return named.get(name) or find_metadata(lora_manager, name)

    accelerators = () if lora_manager is None else lora_manager.folder.accelerators()
    completed = complete_request(
        given, base, find_lora, turbo=turbo, accelerators=accelerators, find_wildcard=find_wildcard
    )
    request = GenerationRequest(**completed)
    lora_metadata(lora_manager, request.loras)  # refuses a turbo LoRA that cannot be used
    return request


def lora_metadata(lora_manager: LoraManager | None, loras: Sequence[LoraUse]) -> dict[str, LoraMetadata]:
    """Return what the files of those of `loras` that act say about themselves, by name.

    Raises:
        LoraError: a LoRA is not there or cannot be used.
    """
    if lora_manager is None:
        return {}
    acting = [use for use in loras if use.weight != 0.0]
    return dict(zip((use.name for use in acting), lora_manager.metadata(acting), strict=True))


def find_metadata(lora_manager: LoraManager | None, name: str) -> LoraMetadata | None:
    """Return what the header of the LoRA `name` says; None if there is none, or it is for another base.

    Raises:
        LoraError: it cannot be used with any base.
    """
    summary = None if lora_manager is None else lora_manager.summary(name)
    return None if summary is None else replace(summary.metadata, family=summary.family)

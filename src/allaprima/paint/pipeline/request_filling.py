"""What a request does not say, filled in: by its LoRAs' habits, by turbo's, and by the base's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_defaults import defaults_for
from allaprima.core.turbo import ONE_STEP, TURBO, TURBOS, choose_turbo, is_turbo, turbo_habits
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.trained_settings import trained_settings
from allaprima.paint.lora.manager import LoraManager


def fill_request(
    base: Base, lora_manager: LoraManager | None, given: Mapping[str, Any], *, turbo: bool
) -> GenerationRequest:
    """Return a request for `base` that says what is `given`.

    Args:
        base: to paint with.
        lora_manager: what it can wear; None if nothing.
        given: fields of the request.
        turbo: put a turbo LoRA in front if there is one for this base, unless the request names one, a schedule,
            or a LoRA that says itself how it wants to be painted with.

    Raises:
        RequestError: a value is out of range.
        LoraError: a LoRA is not there or cannot be used.
        TypeError: a request has no field of a given name.
    """
    given = dict(given)
    told = trained_settings(lora_metadata(lora_manager, given.get("loras", ())))
    if turbo and lora_manager is not None and not told and (name := _find_turbo(base, lora_manager, given)):
        worn = LoraUse(name=name)
        given["loras"] = (worn, *given.get("loras", ()))
        (metadata,) = lora_manager.metadata([worn])
        told = turbo_habits(metadata) | trained_settings({name: metadata})
    own = defaults_for(base.defaults, given.get("schedule", told.get("schedule")))
    return GenerationRequest(**{"base": base.name, **asdict(own), **told, **given})


def lora_metadata(lora_manager: LoraManager | None, loras: Sequence[LoraUse]) -> dict[str, LoraMetadata]:
    """Return what the files of those of `loras` that act say about themselves, by name.

    Raises:
        LoraError: a LoRA is not there or cannot be used.
    """
    if lora_manager is None:
        return {}
    acting = [use for use in loras if use.weight != 0.0]
    return dict(zip((use.name for use in acting), lora_manager.metadata(acting), strict=True))


def _find_turbo(base: Base, lora_manager: LoraManager, given: Mapping[str, Any]) -> str | None:
    if given.get("schedule") is not None or is_turbo(given.get("loras", ())):
        return None
    return choose_turbo(_turbo_shelf(lora_manager), base.family, given.get("steps"))


def first_look(
    base: Base, lora_manager: LoraManager | None, loras: tuple[LoraUse, ...]
) -> tuple[LoraUse, ...]:
    """Return what the first look at a picture, of one step, wears where the picture itself wears `loras`.

    That is the turbo LoRA for one step in the place of the one for several, where both are there for `base`.
    """
    if lora_manager is None or [use.name for use in loras if use.name in TURBOS] != [TURBO]:
        return loras
    if choose_turbo(_turbo_shelf(lora_manager), base.family, steps=1) != ONE_STEP:
        return loras
    return tuple(replace(use, name=ONE_STEP) if use.name == TURBO else use for use in loras)


def _turbo_shelf(lora_manager: LoraManager) -> dict[str, LoraMetadata]:
    # Only looked at: one for another family would be refused if it were read for this base.
    return {
        name: replace(summary.metadata, family=summary.family)
        for name in TURBOS
        if (summary := lora_manager.summary(name)) is not None
    }

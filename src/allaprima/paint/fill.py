"""What a request does not say, filled in: by its LoRAs' habits, by turbo's, and by the base's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.bases.base import Base
from allaprima.paint.bases.defaults import defaults_for
from allaprima.paint.lora.habits import habits_of
from allaprima.paint.lora.metadata import LoraMetadata
from allaprima.paint.lora.wardrobe import Wardrobe
from allaprima.paint.turbo import ONE_STEP, TURBO, TURBOS, choose_turbo, is_turbo, turbo_habits


def fill_request(
    base: Base, wardrobe: Wardrobe | None, given: Mapping[str, Any], *, turbo: bool
) -> GenerationRequest:
    """Return a request for `base` that says what is `given`.

    Args:
        base: to paint with.
        wardrobe: what it can wear; None if nothing.
        given: fields of the request.
        turbo: put a turbo LoRA in front if there is one for this base, unless the request names one, a schedule,
            or a LoRA that says itself how it wants to be painted with.

    Raises:
        RequestError: a value is out of range.
        LoraError: a LoRA is not there or cannot be used.
        TypeError: a request has no field of a given name.
    """
    given = dict(given)
    told = habits_of(lora_metadata(wardrobe, given.get("loras", ())))
    if turbo and wardrobe is not None and not told and (name := _find_turbo(base, wardrobe, given)):
        worn = LoraUse(name=name)
        given["loras"] = (worn, *given.get("loras", ()))
        (metadata,) = wardrobe.metadata([worn])
        told = turbo_habits(metadata) | habits_of({name: metadata})
    own = defaults_for(base.defaults, given.get("schedule", told.get("schedule")))
    return GenerationRequest(**{"base": base.name, **asdict(own), **told, **given})


def lora_metadata(wardrobe: Wardrobe | None, loras: Sequence[LoraUse]) -> dict[str, LoraMetadata]:
    """Return what the files of those of `loras` that act say about themselves, by name.

    Raises:
        LoraError: a LoRA is not there or cannot be used.
    """
    if wardrobe is None:
        return {}
    acting = [use for use in loras if use.weight != 0.0]
    return dict(zip((use.name for use in acting), wardrobe.metadata(acting), strict=True))


def _find_turbo(base: Base, wardrobe: Wardrobe, given: Mapping[str, Any]) -> str | None:
    if given.get("schedule") is not None or is_turbo(given.get("loras", ())):
        return None
    return choose_turbo(_turbo_shelf(wardrobe), base.family, given.get("steps"))


def first_look(base: Base, wardrobe: Wardrobe | None, loras: tuple[LoraUse, ...]) -> tuple[LoraUse, ...]:
    """Return what the first look at a picture, of one step, wears where the picture itself wears `loras`.

    That is the turbo LoRA for one step in the place of the one for several, where both are there for `base`.
    """
    if wardrobe is None or [use.name for use in loras if use.name in TURBOS] != [TURBO]:
        return loras
    if choose_turbo(_turbo_shelf(wardrobe), base.family, steps=1) != ONE_STEP:
        return loras
    return tuple(replace(use, name=ONE_STEP) if use.name == TURBO else use for use in loras)


def _turbo_shelf(wardrobe: Wardrobe) -> dict[str, LoraMetadata]:
    # Only looked at: one for another family would be refused if it were read for this base.
    return {
        name: replace(outline.metadata, family=outline.family)
        for name in TURBOS
        if (outline := wardrobe.outline(name)) is not None
    }

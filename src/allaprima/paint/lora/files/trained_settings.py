"""How LoRAs were trained to be painted with, by what their files say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from allaprima.core.request import GenerationRequest
from allaprima.paint.lora.files.keys import name_some
from allaprima.paint.lora.files.metadata import LoraMetadata


def trained_settings(loras: Mapping[str, LoraMetadata]) -> dict[str, Any]:
    """Return the schedule, steps and guidance that the first LoRA asks for that asks for any."""
    for metadata in loras.values():
        asked = {
            "schedule": metadata.schedule,
            "steps": metadata.steps,
            "guidance": metadata.guidance,
        }
        if settings := {name: value for name, value in asked.items() if value is not None}:
            return settings
    return {}


def remarks_on(request: GenerationRequest, loras: Mapping[str, LoraMetadata]) -> tuple[str, ...]:
    """Return, a sentence each, what in `request` does nothing, or no good, with LoRAs that have learned the guidance.

    Args:
        request: with the LoRAs.
        loras: what the files of those that count say, by name.
    """
    return (
        *_about_steps(request, loras),
        *_about_guidance(request, [name for name, metadata in loras.items() if metadata.guidance == 1.0]),
    )


def introductions(request: GenerationRequest, loras: Mapping[str, LoraMetadata]) -> tuple[str, ...]:
    """Return what each of `loras` was trained for, a line each, unless `remarks_on` has more to say about it.

    Args:
        request: with the LoRAs.
        loras: what the files of those that count say, by name.
    """
    return tuple(
        f"the LoRA {name!r} was trained to paint in {_steps(metadata.steps)}"
        + (" without guidance" if metadata.guidance == 1.0 else "")
        for name, metadata in loras.items()
        if metadata.steps is not None and not _is_off(request, metadata)
    )


def remarks_on_unused(unmatched: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence for each LoRA, by name, with keys that no layer of the base answers to."""
    return tuple(
        f"{len(keys)} key{'s' * (len(keys) != 1)} of the LoRA {name!r} match no layer of the base and do nothing: "
        f"{name_some(keys)}"
        for name, keys in unmatched.items()
        if keys
    )


def _about_steps(request: GenerationRequest, loras: Mapping[str, LoraMetadata]) -> Iterator[str]:
    for name, metadata in loras.items():
        if metadata.steps is not None and _is_off(request, metadata):
            asked = f"{request.steps} {'is' if request.steps == 1 else 'are'}"
            yield (
                f"the LoRA {name!r} was trained to paint in {_steps(metadata.steps)}; {asked} asked for, at noise "
                "levels it has not learned"
            )


def _is_off(request: GenerationRequest, metadata: LoraMetadata) -> bool:
    """Return whether another number of steps is asked for than the LoRA has learned noise levels for."""
    return bool(metadata.sigmas) and metadata.steps is not None and metadata.steps != request.steps


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _about_guidance(request: GenerationRequest, free: list[str]) -> Iterator[str]:
    if not free:
        return
    if request.guidance != 1.0:
        yield (
            f"the LoRA {free[0]!r} was trained to paint without guidance; with guidance {request.guidance:g} a "
            "picture takes twice the time and may burn out, so leave it at 1"
        )
    elif request.negative_prompt:
        yield f"the negative prompt does nothing, for the LoRA {free[0]!r} paints without guidance"

"""What a person should know about a request and the LoRAs it names, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from allaprima.core.request import GenerationRequest
from allaprima.core.turbo import LoraFacts
from allaprima.paint.lora.files.keys import name_some


def remarks_on(request: GenerationRequest, loras: Mapping[str, LoraFacts]) -> tuple[str, ...]:
    """Return what in `request` does nothing, or does harm, with `loras`."""
    unguided = [name for name, facts in loras.items() if facts.guidance == 1.0]
    return (*_about_several(loras), *_about_steps(request, loras), *_about_guidance(request, unguided))


def introductions(request: GenerationRequest, loras: Mapping[str, LoraFacts]) -> tuple[str, ...]:
    """Return what each of `loras` was trained for, but for those that `remarks_on` speaks of."""
    return tuple(
        f"the LoRA {name!r} was trained to paint in {_steps(facts.steps)}"
        + (" without guidance" if facts.guidance == 1.0 else "")
        + (f" ({facts.accelerator}, recognised by its name)" if facts.accelerator else "")
        for name, facts in loras.items()
        if facts.steps is not None and not _is_off(request, facts)
    )


def remarks_on_unused(unmatched: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence for each LoRA, by name, with keys that no layer of the base answers to."""
    return tuple(
        f"{len(keys)} key{'s' * (len(keys) != 1)} of the LoRA {name!r} match no layer of the base and do nothing: "
        f"{name_some(keys)}"
        for name, keys in unmatched.items()
        if keys
    )


def _about_several(loras: Mapping[str, LoraFacts]) -> Iterator[str]:
    few = [name for name, facts in loras.items() if facts.steps is not None]
    if len(few) > 1:
        yield (
            f"the LoRAs {' and '.join(map(repr, few))} each let the base paint in few steps, in ways of their own; "
            f"it is painted in the way of {few[0]!r}, so take the others off"
        )


def _about_steps(request: GenerationRequest, loras: Mapping[str, LoraFacts]) -> Iterator[str]:
    for name, facts in loras.items():
        if facts.steps is not None and _is_off(request, facts):
            asked = f"{request.steps} {'is' if request.steps == 1 else 'are'}"
            yield (
                f"the LoRA {name!r} was trained to paint in {_steps(facts.steps)}; {asked} asked for, at noise "
                "levels it has not learned"
            )


def _is_off(request: GenerationRequest, facts: LoraFacts) -> bool:
    """Return whether `request` asks for another number of steps than that whose noise levels the LoRA has learned."""
    if facts.steps is None or not (facts.sigmas or facts.accelerator):
        return False
    most = facts.most_steps or facts.steps
    return request.steps > most or (most == facts.steps and request.steps < most)


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _about_guidance(request: GenerationRequest, unguided: list[str]) -> Iterator[str]:
    if not unguided:
        return
    if request.guidance > 1.0:
        yield (
            f"the LoRA {unguided[0]!r} was trained to paint without guidance; with guidance {request.guidance:g} a "
            "picture takes twice the time and may burn out, so leave it at 1"
        )
    elif request.negative_prompt:
        yield f"the negative prompt does nothing, for the LoRA {unguided[0]!r} paints without guidance"

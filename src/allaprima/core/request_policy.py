"""What a request leaves open, decided in one place for Python, the command line, every route and the page.

What a request says stays. The rest comes from the LoRAs it names, as far as they were trained for something, then
from a turbo LoRA, then from the base. docs/decisions/009-one-request-policy.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from allaprima.core.infotext import split_loras
from allaprima.core.request import LoraUse
from allaprima.core.request_defaults import RequestDefaults, defaults_for
from allaprima.core.turbo import FindLora, find_turbo, names_turbo, trained_settings, turbo_settings
from allaprima.core.wildcards import FindLines, no_wildcards, resolve_words

DECIDED = frozenset({"base", "width", "height", "steps", "guidance", "schedule", "loras"})
"""The fields that the policy decides. A request that says all of them, as a picture file does, stays as it is."""


class PaintableBase(Protocol):
    """A base, as far as requests depend on it."""

    @property
    def name(self) -> str:
        """The name that requests ask for."""

    @property
    def family(self) -> str:
        """The architecture."""

    @property
    def defaults(self) -> RequestDefaults:
        """The size, steps and guidance that it is painted with by itself."""


def complete_request(
    given: Mapping[str, Any],
    base: PaintableBase,
    find_lora: FindLora,
    *,
    turbo: bool = True,
    accelerators: Collection[str] = (),
    find_wildcard: FindLines = no_wildcards,
) -> dict[str, Any]:
    """Return `given`, fields of a `GenerationRequest`, with a value for every field in `DECIDED`.

    Args:
        given: what is asked for.
        base: what paints.
        find_lora: what is known of a LoRA.
        turbo: False for the plain base.
        accelerators: names in the folder that may be public accelerators; see `core.turbo.find_turbo`.
        find_wildcard: the lines that a wildcard in the words may stand for.
    """
    given = wear_tags(choose_words(given, find_wildcard))
    if given.keys() >= DECIDED:
        return dict(given)
    loras: tuple[LoraUse, ...] = given.get("loras", ())
    acting = [find_lora(use.name) for use in loras if use.weight != 0.0]
    settings = trained_settings(facts for facts in acting if facts is not None)
    named = names_turbo(loras, accelerators)
    if turbo and not settings and given.get("schedule") is None and not named:
        # A base that was distilled itself has no use for a second time.
        others = () if base.defaults.guidance == 1.0 else accelerators
        name = find_turbo(find_lora, base.family, given.get("steps"), others)
        facts = None if name is None else find_lora(name)
        if name is not None and facts is not None and not _defeats(given, turbo_settings(facts)):
            loras, settings = (LoraUse(name=name), *loras), turbo_settings(facts)
    schedule = given.get("schedule", settings.get("schedule"))
    defaults = asdict(defaults_for(base.defaults, schedule))
    return {"base": base.name, "schedule": schedule, **defaults, **settings, **given, "loras": loras}


def choose_words(given: Mapping[str, Any], find_wildcard: FindLines) -> dict[str, Any]:
    """Return `given` with the choices in its words made by its seed, and the words as they were beside them.

    Words that come with a template were chosen before.

    Raises:
        RequestError: a choice cannot be made.
    """
    chosen, seed = dict(given), given.get("seed", 0)
    for name, template in (("prompt", "template"), ("negative_prompt", "negative_template")):
        words = given.get(name)
        if isinstance(words, str) and not given.get(template):
            chosen[name] = resolve_words(words, seed, find_wildcard, part=name)
            chosen[template] = "" if chosen[name] == words else words
    return chosen


def wear_tags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with tags such as <lora:ink:0.8> in its prompt among its LoRAs."""
    if not isinstance(prompt := given.get("prompt"), str):
        return dict(given)
    words, tagged = split_loras(prompt)
    return {**given, "prompt": words, "loras": (*given.get("loras", ()), *tagged)} if tagged else dict(given)


def _defeats(given: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether turbo without guidance would spoil the guidance of `given`, or undo its negative prompt."""
    guidance = given.get("guidance")
    wants = bool(given.get("negative_prompt")) if guidance is None else guidance > 1.0
    return settings["guidance"] == 1.0 and wants

"""A request in the words other programs write into their pictures.

The A1111 web interface made this format common: the prompt, a line for the negative prompt, and a last line
of settings. Values with a comma, colon, quote or line break are JSON strings. For example:

    a cat on a rooftop at sunset <lora:ink:0.8>
    Negative prompt: rain
    Steps: 50, Sampler: Euler, CFG scale: 4.0, Seed: 7, Size: 256x256, Model: vignette, Quality: high

LoRAs are tags in the prompt, which is where those programs look for them. Other programs and editors change line
ends, leave out blanks or write all of it on one line; what they write is read as far as it goes.

Source of the format: `modules/infotext_utils.py` of AUTOMATIC1111/stable-diffusion-webui.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from allaprima.core.errors import RequestError
from allaprima.core.layout import PaintedLayout
from allaprima.core.layout_json import layout_from_text, layout_to_json
from allaprima.core.reference import references_from_json
from allaprima.core.request import LORA_TAG, GenerationRequest, LoraUse

NEGATIVE = "Negative prompt: "
MAX_CHARS = 100_000

# A1111's own pattern, with possessive and bounded repeats: hostile text must not cost its length squared.
_FIELD = re.compile(r'\s{0,9}+(\w[\w \-/]{1,99}+):\s{0,9}+("(?:\\.|[^\\"])*+"|[^,]*+)(?:,|$)')
_MIN_FIELDS = 3
_LINE_END = re.compile(r"\r\n|\r|\n")
_JSON = re.compile(r"(Civitai [a-z]{1,20}): (?=[\[{])")
_MAX_TRIES = 8
_STEPS = re.compile(r"\bSteps:\s?\d")
_NEGATIVE = re.compile(r"negative prompt:[ \t]?", re.IGNORECASE)
_KEYS: dict[str, tuple[str, type[int] | type[float] | type[str]]] = {
    "Steps": ("steps", int), "CFG scale": ("guidance", float), "Seed": ("seed", int), "Model": ("base", str),
    "Quality": ("quality", str), "Schedule": ("schedule", str), "Template": ("template", str),
    "Negative Template": ("negative_template", str),
}  # fmt: skip
"""Settings as the infotext names them, to the fields of a request."""
_LISTS = frozenset({"References", "Layout", "Complete layout"})
"""Settings that are no text or number."""
_OURS = {name.casefold(): name for name in (*_KEYS, *_LISTS, "Size", "Sampler")}
"""Their names by how they are read: people and programs write them without capitals too."""
_ALIKE: Mapping[str, frozenset[str]] = {
    "Sampler": frozenset({"Euler"}), "Schedule type": frozenset({"Automatic"}), "Clip skip": frozenset({"1"}),
    "Variation seed strength": frozenset({"0"}), "Eta": frozenset({"0"}),
}  # fmt: skip
"""Settings that are not followed, with the values at which the picture is the same without them."""
_INFORMATIVE = frozenset({
    "Size", "Denoising strength", "Model hash", "Lora hashes", "Hashes", "Version", "App", "Backend", "User",
    "Created Date", "Civitai resources", "Civitai metadata", "Batch size", "Batch pos", "Operations", "Parser",
    "Pipeline", "allaprima", "RNG", "Inpaint area",
    "Painted size", "Step cache",
})  # fmt: skip
"""Settings that tell about a picture, or that others answer for, without a part in how it is painted here."""


@dataclass(frozen=True, kw_only=True)
class ImportedRequest:
    """What a picture or a text says, as a request, and what of it the request does not hold."""

    request: GenerationRequest
    """The request."""
    remarks: tuple[str, ...] = ()
    """A sentence for each thing that was left out."""
    init_strength: str | None = None
    """How strongly another picture was painted over, in the file's words; None if it says nothing."""
    inpaint_area: str | None = None
    """Which part of that was painted, in the file's words; None if it says nothing."""
    painted_layout: PaintedLayout | None = None
    """What the base was told stands where, completed; None if the file says nothing."""


def to_infotext(request: GenerationRequest, extra: Mapping[str, str] | None = None) -> str:
    """Return the infotext of `request`, with `extra` settings at the end of its last line."""
    settings = {
        "Steps": str(request.steps),
        "Sampler": "Euler",
        "CFG scale": repr(request.guidance),
        "Seed": str(request.seed),
        "Size": f"{request.width}x{request.height}",
        "Model": request.base,
        "Quality": request.quality,
        **({} if request.schedule is None else {"Schedule": request.schedule}),
        **({"Template": request.template} if request.template else {}),
        **({"Negative Template": request.negative_template} if request.negative_template else {}),
        **(
            {}
            if not request.references
            else {"References": " ".join(one.digest for one in request.references)}
        ),
        **_layout_settings(request),
        **(extra or {}),
    }
    tags = [f"<lora:{lora.name}:{lora.weight!r}>" for lora in request.loras]
    lines = [" ".join([request.prompt, *tags])]
    if request.negative_prompt:
        lines.append(NEGATIVE + request.negative_prompt)
    lines.append(_settings_line(settings))
    return "\n".join(lines)


def _layout_settings(request: GenerationRequest) -> dict[str, str]:
    told = {}
    if request.layout:
        told["Layout"] = json.dumps(layout_to_json(request.layout), ensure_ascii=False)
    return told if request.complete_layout else {**told, "Complete layout": "False"}


def with_settings(infotext: str, settings: Mapping[str, str]) -> str:
    """Return an infotext with further settings at the end of its last line."""
    return f"{infotext}, {_settings_line(settings)}"


def from_infotext(text: str) -> GenerationRequest:
    """Return the request written in `text`, by us or by another program; see `import_infotext`."""
    return import_infotext(text).request


def import_infotext(text: str) -> ImportedRequest:
    """Return the request written in `text`, by us or by another program, and what of it was left out.

    Prompts of several lines are joined into one. A number or LoRA that cannot be used is left out, the others stay.

    Raises:
        RequestError: there is no line of settings, no prompt, or a prompt that cannot be painted.
    """
    tagged, negative_prompt, settings = split_infotext(text)
    prompt, loras, remarks = _import_loras(tagged)
    if not prompt.strip():
        raise RequestError("got infotext without a prompt; expected words in front of its settings")
    fields, bad = fields_of_settings(settings)
    request = GenerationRequest(prompt=prompt, negative_prompt=negative_prompt, loras=loras, **fields)
    remarks += [f"{name} is left out: {why}" for name, why in bad.items()]
    left_out = [f"{name}: {value}"[:80] for name, value in settings.items() if is_lost(name, value)]
    if left_out:
        remarks.append(f"not followed here: {', '.join(left_out[:8])}" + (" ..." if left_out[8:] else ""))
    return ImportedRequest(request=request, remarks=tuple(remarks))


def fields_of_settings(settings: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields of a request that `settings` stand for, and by their names why others cannot be used."""
    fields: dict[str, Any] = {}
    bad = {}
    for name, value in settings.items():
        try:
            said = _fields(name, value)
            GenerationRequest(prompt="-", **said)  # checks their ranges
        except RequestError as error:
            bad[name] = str(error)
        else:
            fields |= said
    return fields, bad


def split_infotext(text: str) -> tuple[str, str, dict[str, str]]:
    """Return prompt, negative prompt and the settings, unquoted.

    Raises:
        RequestError: `text` is too long or holds no settings.
    """
    if len(text) > MAX_CHARS:
        raise RequestError(f"got infotext of {len(text):,} characters; expected at most {MAX_CHARS:,}")
    lines, last = _cut_settings(_LINE_END.split(text.rstrip(" \t\r\n\0").removeprefix("\ufeff")))
    last, settings = _cut_json(last)
    settings |= {_OURS.get(name.casefold(), name): _unquote(value) for name, value in _FIELD.findall(last)}
    prompt, negative = _cut_negative(lines, ours="Quality" in settings)
    return prompt, negative, settings


def _cut_settings(lines: list[str]) -> tuple[list[str], str]:
    """Return the lines before the settings, and the settings; they are the last line, unless other programs wrote it.

    Those may put further lines behind it, or all of it on one line.
    """
    while lines and not lines[0].strip():
        del lines[0]
    fields = len(_FIELD.findall(lines[-1])) if len(lines) > 1 else 0
    if fields >= _MIN_FIELDS and _STEPS.match(lines[-1].lstrip()):
        return lines[:-1], lines[-1]
    named = ((index, [*_STEPS.finditer(line)][-1:]) for index, line in reversed([*enumerate(lines)]))
    for index, (match,) in islice(((index, found) for index, found in named if found), _MAX_TRIES):
        settings = ", ".join([lines[index][match.start() :], *lines[index + 1 :]])
        least = _MIN_FIELDS if match.start() else 2
        if len(_FIELD.findall(settings)) >= least:
            before = [*lines[:index], lines[index][: match.start()].rstrip(" ,;\t")]
            return [line for line in before if line.strip()], settings
    if fields >= _MIN_FIELDS:
        return lines[:-1], lines[-1]
    raise RequestError(
        "got text without a line of settings; expected a prompt and a line such as Steps: 50, Seed: 7"
    )


def _cut_json(text: str) -> tuple[str, dict[str, str]]:
    """Return `text` without the JSON that Civitai puts among the settings, unquoted, and that by its names."""
    taken = {}
    for match in islice(_JSON.finditer(text), _MAX_TRIES):
        try:
            _, length = json.JSONDecoder().raw_decode(text[match.end() :])
        except (ValueError, RecursionError):
            continue
        taken[match[1]] = text[match.end() : match.end() + length]
    for name, value in taken.items():
        text = text.replace(f"{name}: {value}", "")
    return text, taken


def _cut_negative(lines: list[str], *, ours: bool) -> tuple[str, str]:
    """Return prompt and negative prompt; others than we may write both on one line, or no prompt at all.

    Our own first line is the prompt even if it reads "Negative prompt: ...".
    """
    found = ((index, _NEGATIVE.match(line.lstrip())) for index, line in enumerate(lines) if index or not ours)
    at, match = next(((index, match) for index, match in found if match), (len(lines), None))
    if match is not None:
        return " ".join(lines[:at]), _join([lines[at].lstrip()[match.end() :], *lines[at + 1 :]])
    for index, line in enumerate(() if ours else lines):
        if (match := _NEGATIVE.search(line)) is not None:
            prompt = [*lines[:index], line[: match.start()].rstrip(" ,;\t")]
            return _join(prompt), _join([line[match.end() :], *lines[index + 1 :]])
    return " ".join(lines), ""


def _join(lines: list[str]) -> str:
    return lines[0] if len(lines) == 1 else " ".join(line for line in lines if line.strip())


def _fields(name: str, value: str) -> dict[str, Any]:
    """Return the fields of a request that the setting `name` stands for; none for one that we do not have."""
    if name == "Size":
        return dict(zip(("width", "height"), parse_size(value), strict=True))
    if name == "References":
        return {"references": references_from_json(value.split())}
    if name == "Layout":
        return {"layout": layout_from_text(value)}
    if name == "Complete layout":
        return {"complete_layout": _convert_flag(name, value)}
    if name not in _KEYS:
        return {}
    key, kind = _KEYS[name]
    return {key: _convert(name, value, kind)}


def is_lost(name: str, value: str) -> bool:
    """Return whether the setting has a part in the picture that is not followed."""
    known = name in _KEYS or name in _LISTS or name in _INFORMATIVE or name.startswith("Rescued ")
    return not known and value not in _ALIKE.get(name, ())


def _import_loras(prompt: str) -> tuple[str, tuple[LoraUse, ...], list[str]]:
    """Return `prompt` without its tags, the LoRAs they name, and what is wrong with those that cannot be used."""
    loras: list[LoraUse] = []
    remarks = []
    for tag in LORA_TAG.findall(prompt):
        try:
            loras += split_loras(tag)[1]
        except RequestError as error:
            remarks.append(f"a LoRA is left out: {error}")
    return re.sub(f" ?{LORA_TAG.pattern}", "", prompt), tuple(loras), remarks


def split_loras(prompt: str) -> tuple[str, tuple[LoraUse, ...]]:
    """Return `prompt` without its tags such as <lora:ink:0.8>, and the LoRAs they name, by default at 1.

    The weights of one that is named again are added.
    """
    loras = []
    for tag in LORA_TAG.findall(prompt):
        _, name, *weights = tag[1:-1].split(":")
        if len(weights) > 1:
            raise RequestError(f"got {tag[:60]!r}; expected one weight, as in <lora:ink:0.8>")
        loras.append(LoraUse(name=name, weight=float(_convert("LoRA weight", (*weights, "1")[0], float))))
    return re.sub(f" ?{LORA_TAG.pattern}", "", prompt), tuple(loras)


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) in pixels of a text such as 256x256; RequestError for any other."""
    match = re.fullmatch(r"(\d{1,6}) ?[xX×*] ?(\d{1,6})", text.strip(), re.ASCII)
    if match is None:
        raise RequestError(
            f"got size {text[:40]!r}; expected width x height in pixels, such as 256x256", field="size"
        )
    return int(match[1]), int(match[2])


def _settings_line(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {_quote(value)}" for name, value in settings.items())


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"\\]|^\s|\s$', value) else value


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    try:
        text = str(json.loads(value))
        text.encode()  # JSON may hold half a character, which nothing can be written into
    except (ValueError, RecursionError):
        return value
    return text


def _convert_flag(name: str, value: str) -> bool:
    if value.casefold() not in ("true", "false"):
        raise RequestError(f"got {name} {value[:40]!r} in the infotext; expected True or False")
    return value.casefold() == "true"


def _convert(name: str, value: str, kind: type[int] | type[float] | type[str]) -> int | float | str:
    try:
        whole = kind is int and re.fullmatch(r"\d{1,20}\.0{1,20}", value) is not None
        return int(value.partition(".")[0]) if whole else kind(value)
    except ValueError:
        raise RequestError(f"got {name} {value[:40]!r} in the infotext; expected a number") from None

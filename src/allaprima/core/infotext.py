"""A request in the words other programs write into their pictures.

The A1111 web interface made this format common: the prompt, a line for the negative prompt, and a last line
of settings. Values with a comma, colon, quote or line break are JSON strings. For example:

    a cat on a rooftop at sunset <lora:ink:0.8>
    Negative prompt: rain
    Steps: 50, Sampler: Euler, CFG scale: 4.0, Seed: 7, Size: 256x256, Model: vignette, Quality: high

LoRAs are tags in the prompt, which is where those programs look for them.

Source of the format: `modules/infotext_utils.py` of AUTOMATIC1111/stable-diffusion-webui.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from allaprima.core.errors import RequestError
from allaprima.core.request import LORA_TAG, GenerationRequest, LoraUse

NEGATIVE = "Negative prompt: "
MAX_CHARS = 100_000

# A1111's own pattern, with possessive and bounded repeats: hostile text must not cost its length squared.
_FIELD = re.compile(r'\s{0,9}+(\w[\w \-/]{1,99}+):\s{0,9}+("(?:\\.|[^\\"])*+"|[^,]*+)(?:,|$)')
_MIN_FIELDS = 3
_KEYS: dict[str, tuple[str, type[int] | type[float] | type[str]]] = {
    "Steps": ("steps", int), "CFG scale": ("guidance", float), "Seed": ("seed", int), "Model": ("base", str),
    "Quality": ("quality", str), "Schedule": ("schedule", str),
}  # fmt: skip
"""Settings as the infotext names them, to the fields of a request."""


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
        **(extra or {}),
    }
    tags = [f"<lora:{lora.name}:{lora.weight!r}>" for lora in request.loras]
    lines = [" ".join([request.prompt, *tags])]
    if request.negative_prompt:
        lines.append(NEGATIVE + request.negative_prompt)
    lines.append(", ".join(f"{name}: {_quote(value)}" for name, value in settings.items()))
    return "\n".join(lines)


def from_infotext(text: str) -> GenerationRequest:
    """Return the request written in `text`, by us or by another program.

    Settings we do not have are left out, and prompts of several lines are joined into one.
    """
    tagged, negative_prompt, settings = split_infotext(text)
    prompt, loras = split_loras(tagged)
    values: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative_prompt, "loras": loras}
    for name, (key, kind) in _KEYS.items():
        if name in settings:
            values[key] = _convert(name, settings[name], kind)
    if "Size" in settings:
        values["width"], values["height"] = parse_size(settings["Size"])
    return GenerationRequest(**values)


def split_infotext(text: str) -> tuple[str, str, dict[str, str]]:
    """Return prompt, negative prompt and the settings of the last line, unquoted.

    Raises:
        RequestError: `text` is too long or does not end in a line of settings.
    """
    if len(text) > MAX_CHARS:
        raise RequestError(f"got infotext of {len(text):,} characters; expected at most {MAX_CHARS:,}")
    *lines, last = text.rstrip("\n").split("\n")
    settings = _FIELD.findall(last)
    if not lines or len(settings) < _MIN_FIELDS:
        raise RequestError(
            "got text without a line of settings; expected a prompt and a line such as Steps: 50, Seed: 7"
        )
    # The first line is the prompt even if it reads "Negative prompt: ...": a request must have a prompt.
    negative_at = next((i for i, line in enumerate(lines) if i and line.startswith(NEGATIVE)), len(lines))
    prompt = " ".join(lines[:negative_at])
    negative = " ".join(lines[negative_at:])[len(NEGATIVE) :]
    return prompt, negative, {name: _unquote(value) for name, value in settings}


def split_loras(prompt: str) -> tuple[str, tuple[LoraUse, ...]]:
    """Return `prompt` without its tags such as <lora:ink:0.8>, and the LoRAs they name, by default at 1.

    The weights of one that is named again are added.
    """
    loras = []
    for tag in LORA_TAG.findall(prompt):
        name, *weights = tag[len("<lora:") : -1].split(":")
        if len(weights) > 1:
            raise RequestError(f"got {tag[:60]!r}; expected one weight, as in <lora:ink:0.8>")
        loras.append(LoraUse(name=name, weight=float(_convert("LoRA weight", (*weights, "1")[0], float))))
    return re.sub(f" ?{LORA_TAG.pattern}", "", prompt), tuple(loras)


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) in pixels of a text such as 256x256; RequestError for any other."""
    match = re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text.strip(), re.ASCII)
    if match is None:
        raise RequestError(
            f"got size {text[:40]!r}; expected width x height in pixels, such as 256x256", field="size"
        )
    return int(match[1]), int(match[2])


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


def _convert(name: str, value: str, kind: type[int] | type[float] | type[str]) -> int | float | str:
    try:
        return kind(value)
    except ValueError:
        raise RequestError(f"got {name} {value[:40]!r} in the infotext; expected a number") from None

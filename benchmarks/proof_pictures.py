"""Pictures of every family in fp32, hashed by their bytes and by the floats that were decoded for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.proof_api import fold_loras, load_painter, paint_events, prima, use_next_plan
from benchmarks.proof_hashes import Hashed, hash_bytes, hash_image, tensor_bytes
from benchmarks.proof_inputs import write_loras
from diffusers import QwenImagePipeline, StableDiffusionXLPipeline
from tests.tiny_qwen import LIGHTNING, write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette
from torch import Tensor

from allaprima.core.events import Finished, Step
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter

PROMPT = "a cat on a rooftop at sunset"
NEGATIVE = "rain, blurry"
PLAIN: dict[str, Any] = {"prompt": PROMPT, "steps": 4, "guidance": 1.0}
SMALL: dict[str, Any] = {"width": 64, "height": 64}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Pictures to paint; `case` makes them."""

    name: str
    fields: Mapping[str, Any]
    """Fields of the request that differ from `PLAIN`."""
    loras: Mapping[str, float]
    """Names of LoRAs to their weights."""
    seeds: tuple[int, ...]
    previews: bool
    strength: float | None
    """How much of a picture is painted over; None paints from noise."""
    defaults: bool
    """The painter's defaults, turbo among them, take the place of `PLAIN`."""


def case(
    name: str,
    /,
    *,
    loras: Mapping[str, float] | None = None,
    seeds: tuple[int, ...] = (7,),
    previews: bool = False,
    strength: float | None = None,
    defaults: bool = False,
    **fields: Any,
) -> Case:
    """Return a case by the fields of its request and by how it is painted; see `Case`."""
    return Case(
        name=name,
        fields=fields,
        loras=loras or {},
        seeds=seeds,
        previews=previews,
        strength=strength,
        defaults=defaults,
    )


GUIDED = [
    case("1 step", steps=1),
    case("4 steps"),
    case("1 step, guidance 4", steps=1, guidance=4.0),
    case("4 steps, guidance 4", guidance=4.0),
    case("negative prompt", guidance=4.0, negative_prompt=NEGATIVE),
    case("negative prompt, guidance 1", negative_prompt=NEGATIVE),
    case("away from itself", guidance=4.0, negative_prompt=PROMPT),
    case("50 steps, negative prompt", steps=50, guidance=4.0, negative_prompt=NEGATIVE),
    case("three seeds", seeds=(7, 8, 9)),
    case("previews", steps=3, guidance=4.0, previews=True),
    *(case(f"over a picture, {strength}", strength=strength) for strength in (0.3, 0.75, 1.0)),
    case("over a picture, 0", guidance=4.0, negative_prompt=NEGATIVE, strength=0.0),
]
"""What every base paints."""
FEW = [GUIDED[0], *GUIDED[3:5]]
"""Those of them for bases that differ from another in little."""

WITH_LORAS = [
    case("LoRA", loras={"ink": 1.0}),
    case("LoRA, guidance 4", guidance=4.0, negative_prompt=NEGATIVE, loras={"ink": 0.7}),
    case("LoRA, negative weight", loras={"ink": -0.6}),
    case("LoRA, weight 0", loras={"ink": 0.0}),
    case("two LoRAs", loras={"ink": 0.7, "chalk": 0.5}),
    case("two LoRAs, the other way", loras={"chalk": 0.5, "ink": -0.7}),
    case("LoRA, over a picture", loras={"chalk": 1.0}, strength=0.5),
]
"""What a base paints with `ink` and `chalk`."""

IN_ONE_PASS = [
    case("three seeds in a pass", seeds=(7, 8, 9)),
    case(
        "three seeds in a pass, LoRA",
        seeds=(7, 8, 9),
        guidance=4.0,
        negative_prompt=NEGATIVE,
        loras={"ink": 0.7},
    ),
]
SIZES = [case("wide", width=96, height=64), case("tall", guidance=4.0, width=64, height=128)]


def vignette_pictures(folder: Path) -> Hashed:
    """Hash pictures of the Vignette that ships, with and without turbo, and of a tiny one."""
    loras = folder / "loras-vignette"
    write_loras(loras, load_painter().base.modules(), family="vignette")
    painter = load_painter(loras=loras)
    more = [
        case("8 steps", steps=8),
        case("8 steps, guidance 2.5", steps=8, guidance=2.5, negative_prompt=NEGATIVE),
        case("in Chinese", prompt="海滩上的一只戴着墨镜的猫", guidance=4.0),
        case("turbo as it comes", defaults=True),
        *(case(f"turbo, {steps} steps", steps=steps, defaults=True) for steps in (1, 4, 8)),
        case("turbo, half", loras={"turbo": 0.5}),
        case("turbo and a LoRA", loras={"turbo": 1.0, "ink": 0.7}),
        case("turbo, over a picture", loras={"turbo": 1.0}, strength=0.6),
        case("turbo, previews", loras={"turbo": 1.0}, previews=True),
    ]
    yield from paint_cases("vignette", painter, [*GUIDED, *WITH_LORAS, *more])
    yield from _paint_folded("vignette", painter)
    yield from paint_cases("vignette", load_painter(loras=loras, pictures_per_pass=3), IN_ONE_PASS)
    tiny = write_tiny_vignette(folder / "tiny-vignette")
    yield from paint_cases("tiny vignette", load_painter(folder=tiny), GUIDED)
    out = folder / "painted"
    out.mkdir()
    options = "--steps 2 --count 2 --seed 7 --previews --precision fp32"
    prima(f"paint {{prompt}} -o {{out}} {options}", prompt=PROMPT, out=out)
    for path in sorted(out.glob("*.png")):
        yield f"vignette, prima paint, {path.name}", hash_image(path)


def qwen_pictures(folder: Path) -> Hashed:
    """Hash pictures of a tiny Qwen-Image with the published scheduler and with Lightning's."""
    base, loras = write_tiny_qwen(folder / "qwen"), folder / "loras-qwen"
    pipeline = QwenImagePipeline.from_pretrained(base)
    write_loras(loras, {"transformer": pipeline.transformer}, family="qwen-image")
    painter = load_painter(base, loras)
    schedules = [
        case("lightning, 4 steps", schedule="lightning"),
        case("lightning, 8 steps, LoRA", schedule="lightning", steps=8, loras={"ink": 1.0}),
        case("adaptive-cosine", schedule="adaptive-cosine", steps=10, guidance=4.0),
        case("lightning as it comes", schedule="lightning", defaults=True),
        case("lightning, over a picture", schedule="lightning", strength=0.5),
    ]
    yield from paint_cases("qwen", painter, [*GUIDED, *WITH_LORAS, *SIZES, *schedules], **SMALL)
    yield from _paint_folded("qwen", painter, **SMALL)
    yield from paint_cases("qwen", load_painter(base, loras, pictures_per_pass=3), IN_ONE_PASS, **SMALL)
    lightning = load_painter(write_tiny_qwen(folder / "qwen-lightning", scheduler=LIGHTNING))
    yield from paint_cases("qwen of lightning", lightning, [GUIDED[1], GUIDED[4]], **SMALL)
    yield from _paint_in_less_memory("qwen", painter)


def sdxl_pictures(folder: Path) -> Hashed:
    """Hash pictures of tiny SDXLs that predict noise or v, with the published schedulers and others."""
    base, loras = write_tiny_sdxl(folder / "sdxl"), folder / "loras-sdxl"
    pipeline = StableDiffusionXLPipeline.from_pretrained(base)
    parts = ("unet", "text_encoder", "text_encoder_2")
    write_loras(loras, {name: getattr(pipeline, name) for name in parts}, family="sdxl")
    painter = load_painter(base, loras)
    names = ("euler", "karras", "trailing", "turbo", "lcm")
    schedules = [
        *(case(f"{name}, 4 steps", schedule=name) for name in names),
        case("turbo, 1 step", schedule="turbo", steps=1),
        case("lcm, guidance 4, LoRA", schedule="lcm", guidance=4.0, loras={"ink": 1.0}),
        case("karras, guidance 4", schedule="karras", steps=8, guidance=4.0, negative_prompt=NEGATIVE),
        case("turbo as it comes", schedule="turbo", defaults=True),
        case("lcm, over a picture", schedule="lcm", strength=0.5),
        case("turbo, three seeds", schedule="turbo", seeds=(7, 8, 9)),
    ]
    yield from paint_cases("sdxl", painter, [*GUIDED, *WITH_LORAS, *SIZES, *schedules], **SMALL)
    yield from _paint_folded("sdxl", painter, **SMALL)
    yield from paint_cases("sdxl", load_painter(base, loras, pictures_per_pass=3), IN_ONE_PASS, **SMALL)
    variants: dict[str, dict[str, Any]] = {
        "v": {"prediction": "v_prediction"},
        "v down to no picture": {
            "prediction": "v_prediction",
            "scheduler": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        },
        "karras": {"scheduler": {"use_karras_sigmas": True}},
        "turbo": {"kind": "turbo"},
        "lcm": {"kind": "lcm", "embedded_guidance": True},
        "empty prompts read": {"force_zeros": False},
    }
    for name, settings in variants.items():
        variant = load_painter(write_tiny_sdxl(folder / f"sdxl {name}", **settings))
        cases = [*FEW, case("as it comes", defaults=True)]
        yield from paint_cases(f"sdxl of {name}", variant, cases, **SMALL)
    yield from _paint_in_less_memory("sdxl", painter)


def paint_cases(label: str, painter: Painter, cases: Iterable[Case], **always: Any) -> Hashed:
    """Paint `cases`; yield hashes of the pictures and of all latents and pixels that were decoded for them.

    Args:
        label: what all names begin with.
        painter: who paints.
        cases: what is painted.
        always: fields of every request, unless its case says otherwise.
    """
    for each in cases:
        name, requests = f"{label}, {each.name}", _requests(painter, each, always)
        with _recorded(painter) as floats:
            for event in paint_events(painter, requests, previews=each.previews, strength=each.strength):
                if isinstance(event, Step):
                    for preview in event.previews:
                        yield f"{name}, preview {event.index}", hash_bytes(preview.rgb)
                elif isinstance(event, Finished):
                    for picture in event.pictures:
                        seed = f", seed {picture.request.seed}" if len(requests) > 1 else ""
                        yield f"{name}{seed}", hash_bytes(picture.rgb)
        yield f"{name}, floats", hash_bytes(*floats)


def _requests(painter: Painter, each: Case, always: Mapping[str, Any]) -> list[GenerationRequest]:
    loras = tuple(LoraUse(name=name, weight=weight) for name, weight in each.loras.items())
    if each.defaults:
        fields = {"prompt": PROMPT, **always, **each.fields, **({"loras": loras} if loras else {})}
        return [painter.request(seed=seed, **fields) for seed in each.seeds]
    fields = {**PLAIN, **always, **each.fields, "base": painter.base.name, "loras": loras}
    return [GenerationRequest(seed=seed, **fields) for seed in each.seeds]


@contextlib.contextmanager
def _recorded(painter: Painter) -> Iterator[list[bytes]]:
    """Yield a list to which all latents and pixels are added that the painter decodes meanwhile."""
    floats: list[bytes] = []
    decode = painter.base.decode

    def recording(latents: Tensor) -> Tensor:
        pixels = decode(latents)
        floats.extend((tensor_bytes(latents), tensor_bytes(pixels)))
        return pixels

    with mock.patch.dict(vars(painter.base), {"decode": recording}):
        yield floats


def _paint_folded(label: str, painter: Painter, **always: Any) -> Hashed:
    """Paint with a LoRA beside the weights, then with the same one folded into them."""
    chalk = [case("another LoRA", loras={"chalk": 0.8})]
    yield from paint_cases(label, painter, chalk, **always)
    fold_loras(painter)
    yield from paint_cases(f"{label}, folded", painter, chalk, **always)


def _paint_in_less_memory(label: str, painter: Painter) -> Hashed:
    """Paint with the plans that save memory, one after the other."""
    use_next_plan(painter)
    large = case("large", steps=1, width=640, height=576)
    over = case("large, over a picture", steps=2, width=640, height=576, strength=0.5)
    yield from paint_cases(f"{label}, in tiles", painter, [large, over])
    use_next_plan(painter)
    yield from paint_cases(f"{label}, in turns", painter, [GUIDED[4], WITH_LORAS[1]], **SMALL)

"""Twenty updates of every distillation of every family, and pictures with the LoRAs that come of them."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.proof_api import load_painter, prima, qwen_image_size
from benchmarks.proof_hashes import Hashed, hash_arrays
from benchmarks.proof_pictures import case, paint_cases
from benchmarks.proof_trainings import UPDATES, reset_process, run_training
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.paint.painter import Painter

PROMPTS = "a cat\na dog on a roof\ntwo cats\na hat\nthree black cats at night\na bee\na pig\na red car\n"
_EVERYWHERE = "--sites all --ranks 2"
VIGNETTES = {
    "turbo": "turbo --paths {paths} --steps 2",
    "turbo, fp32": "turbo --paths {paths} --steps 2",
    "turbo on pictures": "turbo --coupling data --sites all --ranks sensitivity --decay 10",
    "turbo of one step": "turbo --steps 1 --penalty 0.5 --seed 1",
    "turbo, whole": "turbo --whole --paths {paths} --steps 2",
    "turbo, further": "turbo --paths {paths} --steps 2 --start {turbo}/best.safetensors --rate 1e-4",
    "lcm": f"lcm --guidance 7.5 {_EVERYWHERE}",
    "lcm, straight, fp32": f"lcm --sampler euler --paths {{paths}} {_EVERYWHERE}",
    "lcm, whole": "lcm --whole --embedded",
    "add": f"add --steps 1 {_EVERYWHERE}",
    "add, pixels, fp32": f"add --features pixel --arm adversarial {_EVERYWHERE}",
    "add, distillation alone": f"add --arm distillation {_EVERYWHERE}",
    "dmd": f"dmd --paths {{paths}} --steps 2 --diversity 0.05 --fake-updates 2 {_EVERYWHERE}",
    "dmd, renoised, fp32": "dmd --sampler lcm --fake-updates 1",
}
QWENS = {
    "turbo": "turbo --paths {paths}",
    "sensitive": "turbo --paths {paths} --sites all --ranks sensitivity",
    "dmd": f"dmd {_EVERYWHERE} --rate 1e-4 --diversity 0.05 --fake-updates 1",
}
SDXLS = {
    "lcm": f"lcm --paths {{paths}} {_EVERYWHERE} --rate 1e-4 --guidance 7.5",
    "add": f"add --paths {{paths}} {_EVERYWHERE} --rate 1e-4 --steps 1",
    "turbo": "turbo --paths {paths}",
    "dmd": f"dmd {_EVERYWHERE} --rate 1e-4 --guidance 8 --fake-updates 1",
}


def vignette_students(folder: Path) -> Hashed:
    """Distil the tiny Vignette and the latents of `part_trainings` by every method, and the Vignette that ships."""
    paths = {
        "paths": folder / "paths of vignette",
        "turbo": folder / "vignette, turbo",
        "tiny": folder / "tiny",
        "tiny_latents": folder / "tiny_latents",
        "latents": folder / "latents",
    }
    tiny = "--weights {tiny} --cache {tiny_latents} --batch 2 --exam 2"
    reset_process()
    prima(f"distill paths --run {{paths}} --count 6 --steps 2 --teacher-steps 8 {tiny}", **paths)
    yield "vignette, paths", hash_arrays(paths["paths"])
    resumed, half = f"{VIGNETTES['turbo']} {tiny} --resume", UPDATES // 2
    shipped = f"turbo --coupling data {_EVERYWHERE} --cache {{latents}} --batch 2 --exam 2"
    distil = functools.partial(_distil, folder, **paths)
    yield from _run_all(
        *(distil(f"vignette, {name}", f"{options} {tiny}") for name, options in VIGNETTES.items()),
        *(distil("vignette, resumed", resumed, updates) for updates in (half, UPDATES)),
        distil("shipped vignette, turbo", shipped),
        _paint_students(folder, "vignette", functools.partial(load_painter, folder=paths["tiny"])),
    )


def qwen_students(folder: Path) -> Hashed:
    """Distil a tiny Qwen-Image that paints small pictures."""
    # No option says a size, and a Qwen-Image paints at 1024 x 1024 by default.
    with qwen_image_size(96, 96):
        yield from _distil_base(folder, "qwen", write_tiny_qwen(folder / "qwen-taught"), QWENS)


def sdxl_students(folder: Path) -> Hashed:
    """Distil a tiny SDXL."""
    yield from _distil_base(folder, "sdxl", write_tiny_sdxl(folder / "sdxl-taught"), SDXLS)


def _distil_base(folder: Path, family: str, base: Path, students: Mapping[str, str]) -> Hashed:
    paths = {"base": base, "prompts": folder / "prompts.txt", "paths": folder / f"paths of {family}"}
    paths["prompts"].write_text(PROMPTS, encoding="utf-8")
    data = "--base {base} --prompts {prompts} --exam 2 --batch 2"
    reset_process()
    prima(f"distill paths --run {{paths}} --count 3 --teacher-steps 4 {data}", **paths)
    yield f"{family}, paths", hash_arrays(paths["paths"])
    distil = functools.partial(_distil, folder, **paths)
    yield from _run_all(
        *(distil(f"{family}, {name}", f"{options} {data}") for name, options in students.items()),
        _paint_students(folder, family, functools.partial(load_painter, base), width=96, height=96),
    )


def _run_all(*trainings: Hashed) -> Hashed:
    """Yield all hashes; a training that fails stops no other, and is raised at the end."""
    errors: list[Exception] = []
    for training in trainings:
        try:
            yield from training
        except Exception as error:  # noqa: BLE001 (the others still count, as with the stages of a benchmark)
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(trainings)} failed", errors)


def _distil(folder: Path, name: str, options: str, updates: int = UPDATES, /, **paths: str | Path) -> Hashed:
    """Distil, and copy the best LoRA to where `_paint_students` looks for it."""
    command = f"distill {options} --run {{run}} --updates {updates} --sample-every {UPDATES}"
    label = name if updates == UPDATES else f"{name}, {updates} updates"
    yield from run_training(label, command, folder / name, **paths)
    family, _, student = name.partition(", ")
    if (best := folder / name / "best.safetensors").exists():
        loras = folder / f"students of {family}"
        loras.mkdir(exist_ok=True)
        shutil.copyfile(best, loras / f"student {student}.safetensors")


def _paint_students(folder: Path, family: str, load: Callable[..., Painter], **size: int) -> Hashed:
    """Paint a picture with each LoRA, with the steps and guidance that its file asks for."""
    reset_process()
    loras = folder / f"students of {family}"
    painter = load(loras=loras)
    names = sorted(path.stem for path in loras.glob("*.safetensors"))
    cases = [case(f"by {name}", loras={name: 1.0}, defaults=True) for name in names]
    yield from paint_cases(family, painter, cases, **size)

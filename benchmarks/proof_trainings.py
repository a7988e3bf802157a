"""Twenty updates of the trainings from scratch: Vignette's parts, its text encoder, the judge.

A run's LoRA and the files that ship are hashed with their tensors' names, its checkpoint without, so that a module
inside may be given another name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

import torch
from accelerate.state import AcceleratorState
from benchmarks.proof_api import prima
from benchmarks.proof_hashes import Hashed, hash_arrays, hash_bytes, hash_image, hash_metadata, hash_tensors
from benchmarks.proof_inputs import write_icons, write_packages, write_words
from tests.tiny_vignette import write_tiny_vignette

UPDATES = 20
FIGURES = {
    "exam": "exam.jsonl",
    "ranks": "ranks.json",
    "accuracy": "accuracy.jsonl",
    "reading": "reading.json",
    "kept out": "kept-out-*.json",
}
"""The files of figures in a run's folder that must be equal; the log is none of them, for it holds times."""

AUTOENCODERS = {
    "autoencoder": "--crop 32 --decay 10",
    "autoencoder, shrunk and alike": "--crop 64 --shrunk-share 0.3 --likeness-weight 0.1 --seed 1",
    "decoder": "--crop 96 --start {tiny}/autoencoder.safetensors --decoder-only --noise 0.4",
}
_TINY = "--cache {tiny_latents} --start {tiny}/denoiser.safetensors --weights {tiny}"
DENOISERS = {
    "denoiser": "--cache {latents} --sample-every 0",
    "tiny denoiser": f"{_TINY} --decay 10 --worn-weight 2 --text-tokens 24 --seed 1",
    "tiny denoiser, unnamed": f"{_TINY} --naming-weight 0 --sample-every 0",
    "tiny denoiser, fp32": f"{_TINY} --sample-every 0",
}


def part_trainings(folder: Path) -> Hashed:
    """Train on scenes the autoencoder, on its latents the denoiser: the order of `recipes/vignette.sh`."""
    write_icons(folder / "npm")
    paths = {name: folder / name for name in ("npm", "store", "latents", "tiny_latents", "released")}
    paths["tiny"] = write_tiny_vignette(folder / "tiny")
    prima("scenes build --npm-root {npm} --style fluent", **paths)
    yield "sprites", hash_arrays(folder / "cache")
    prima("train scenes {store} --count 12 --processes 1", **paths)
    yield "scenes", hash_arrays(paths["store"])
    updates = f"--steps {UPDATES} --batch 2"
    for name, options in AUTOENCODERS.items():
        command = f"train autoencoder {{run}} --store {{store}} {updates} {options}"
        yield from run_training(name, command, folder / name, **paths)
    release = "train release {run} autoencoder -o {released} --store {store}"
    prima(release, run=folder / "autoencoder", **paths)
    yield "autoencoder, released", hash_tensors(paths["released"])
    prima("train latents {latents} --store {store}", **paths)
    prima("train latents {tiny_latents} --store {store} --weights {tiny}", **paths)
    for name in ("latents", "tiny_latents"):
        yield name.replace("_", " "), hash_arrays(paths[name])
    for name, options in DENOISERS.items():
        command = f"train denoiser {{run}} {updates} {options}"
        yield from run_training(name, command, folder / name, **paths)
    prima("train release {run} denoiser -o {released}", run=folder / "denoiser", **paths)
    yield "denoiser, released", hash_tensors(paths["released"])


def text_training(folder: Path) -> Hashed:
    """Train the text encoder, on a tiny E5 and a handful of words."""
    words, output = folder / "words", folder / "text.safetensors"
    write_words(words)
    write_packages(folder / "packages")
    command = f"train text {{run}} -o {{output}} --npm-root {{words}} --steps {UPDATES} --batch 4"
    with mock.patch.object(sys, "path", [str(folder / "packages"), *sys.path]):
        yield from run_training("text", command, folder / "text", output=output, words=words)
    yield "text, written", hash_tensors(output)
    yield "text, metadata", hash_metadata(output)


def judge_training(folder: Path) -> Hashed:
    """Train the judge; most of the time goes into its test on a thousand scenes."""
    output = folder / "judge.safetensors"
    command = f"train judge {{run}} -o {{output}} --steps {UPDATES}"
    yield from run_training("judge", command, folder / "judge", output=output)
    yield "judge, written", hash_tensors(output)
    yield "judge, metadata", hash_metadata(output)


def run_training(name: str, command: str, run: Path, /, **paths: str | Path) -> Hashed:
    """Train, in fp32 if the name ends so, and hash what the run's folder holds.

    Args:
        name: what the names of the hashes begin with.
        command: of `prima`, with `{run}` and the names of `paths` in it.
        run: the folder of the run.
        paths: see `prima`; one named `tiny` is the Vignette that the run starts from.
    """
    reset_process(fp32=name.endswith("fp32"))
    prima(command, run=run, **paths)
    yield f"{name}, checkpoint", hash_tensors(run / "checkpoint.safetensors", named=False)
    for path in sorted(run.glob("sample-*.png")):
        yield f"{name}, {path.stem}", hash_image(path)
    for figure, pattern in FIGURES.items():
        if files := sorted(run.glob(pattern)):
            yield f"{name}, {figure}", hash_bytes(*(path.read_bytes() for path in files))
    if (best := run / "best.safetensors").exists():
        yield f"{name}, LoRA", hash_tensors(best)
        base = Path(paths["tiny"]) / "denoiser.safetensors" if "tiny" in paths else None
        yield f"{name}, LoRA's metadata", hash_metadata(best, base)


def reset_process(*, fp32: bool = False) -> None:
    """Undo what an earlier training may have left in the process, and choose the format of the next."""
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(0)
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
    if fp32:
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"

"""Folders and files of one tiny SDXL, as people have them: each in the form that a case of the parity suite names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import edit_json, give_scheduler, write_tiny_file, write_tiny_sdxl

_UNET = "unet/diffusion_pytorch_model.safetensors"
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5135149760\n"
_PROJECTION = "conditioner.embedders.1.model.text_projection"


def write_layout(layout: str, plain: Path, home: Path) -> tuple[Path, Path]:
    """Write a checkpoint in the form `layout` into `home`.

    Returns:
        What we load, and the folder that stock diffusers paints the same from.
    """
    ours = Path(shutil.copytree(plain, home / "ours"))
    if layout in _FOLDERS:
        stock = _FOLDERS[layout](ours)
        return ours, ours if stock is None else stock
    stock = Path(shutil.copytree(plain, home / "stock"))
    return _FILES[layout](stock, home / "ours.safetensors"), stock


def _fp16(folder: Path) -> Path:
    shutil.rmtree(folder)
    write_tiny_sdxl(folder, dtype=torch.float16, variant="fp16")
    return write_tiny_sdxl(folder.with_name("stock"), dtype=torch.float16)


def _shards(folder: Path) -> None:
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(str(folder), local_files_only=True)
    shutil.rmtree(folder / "unet")
    pipeline.unet.save_pretrained(folder / "unet", max_shard_size="1MB")


def _old_tokenizers(folder: Path) -> Path:
    stock = Path(shutil.copytree(folder, folder.with_name("stock")))
    for part in ("tokenizer", "tokenizer_2"):
        whole = folder / part / "tokenizer.json"
        words = json.loads(whole.read_text(encoding="utf-8"))["model"]["vocab"]
        whole.unlink()
        (folder / part / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
        (folder / part / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return stock


def _without_size(folder: Path) -> None:
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["sample_size"]
    path.write_text(json.dumps(config), encoding="utf-8")


def _left_over(folder: Path) -> None:
    give_scheduler(folder, "base", use_karras_sigmas=True)
    path = folder / "scheduler" / "scheduler_config.json"
    edit_json(path, _class_name="EulerAncestralDiscreteScheduler")
    edit_json(folder / "model_index.json", scheduler=["diffusers", "EulerAncestralDiscreteScheduler"])


def _pipeline(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        edit_json(folder / "model_index.json", _class_name=f"StableDiffusionXL{name}Pipeline")

    return write


def _fp8(*, scaled: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        stock = Path(shutil.copytree(folder, folder.with_name("stock")))
        tensors, exact = load_file(folder / _UNET), load_file(folder / _UNET)
        for name in [name for name in tensors if name.endswith(("to_q.weight", "to_k.weight"))]:
            scale = exact[name].abs().max() / 448 if scaled else torch.tensor(1.0)
            tensors[name] = (exact[name] / scale).to(torch.float8_e4m3fn)
            exact[name] = tensors[name].float() * scale
            if scaled:
                tensors[f"{name.removesuffix('weight')}scale_weight"] = scale
        save_file(tensors | ({"scaled_fp8": torch.zeros(0)} if scaled else {}), folder / _UNET)
        save_file(exact, stock / _UNET, {"format": "pt"})
        return stock

    return write


def _pointers(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.write_text(_POINTER, encoding="utf-8")


def _pickled(folder: Path) -> None:
    (folder / _UNET).rename((folder / _UNET).with_suffix(".bin"))


_FOLDERS: dict[str, Callable[[Path], Path | None]] = {
    "published": lambda _: None,
    "fp16 variant": _fp16,
    "shards": _shards,
    "vocab and merges": _old_tokenizers,
    "img2img pipeline": _pipeline("Img2Img"),
    "inpaint pipeline": _pipeline("Inpaint"),
    "no sample size": _without_size,
    "null sample size": lambda folder: edit_json(folder / "unet" / "config.json", sample_size=None),
    "settings of another class": _left_over,
    "index names another scheduler": lambda folder: edit_json(
        folder / "model_index.json", scheduler=["diffusers", "HeunDiscreteScheduler"]
    ),
    "prompts without zeros": lambda folder: edit_json(
        folder / "model_index.json", force_zeros_for_empty_prompt=False
    ),
    "plain fp8": _fp8(scaled=False),
    "scaled fp8": _fp8(scaled=True),
    "git-lfs pointers": _pointers,
    "pickle": _pickled,
}


def _file(**options: Any) -> Callable[[Path, Path], Path]:
    return lambda stock, place: write_tiny_file(place, stock, **options)


def _v_file(stock: Path, place: Path) -> Path:
    give_scheduler(stock, "base", prediction_type="v_prediction")
    return write_tiny_file(place, stock, extra={"v_pred": torch.zeros(0)})


def _zero_file(stock: Path, place: Path) -> Path:
    give_scheduler(stock, "base", prediction_type="v_prediction", rescale_betas_zero_snr=True)
    return write_tiny_file(place, stock, extra={"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)})


def _told_v(stock: Path, place: Path) -> Path:
    give_scheduler(stock, "base", prediction_type="v_prediction")
    save_file(load_file(write_tiny_file(place, stock)), place, {"modelspec.prediction_type": "v"})
    return place


def _layer(stock: Path, place: Path) -> Path:
    tensors = load_file(write_tiny_file(place, stock))
    save_file({**tensors, f"{_PROJECTION}.weight": tensors.pop(_PROJECTION).T.contiguous()}, place)
    return place


def _capitals(stock: Path, place: Path) -> Path:
    return write_tiny_file(place.with_suffix(".SAFETENSORS"), stock)


_STRAY = {
    "model_ema.decay": torch.tensor(1.0),
    "denoiser.sigmas": torch.ones(9),
    "loss.logvar": torch.ones(1),
}
_FILES: dict[str, Callable[[Path, Path], Path]] = {
    "single file": _file(),
    "single file in capitals": _capitals,
    "file that predicts v": _v_file,
    "file to pure noise": _zero_file,
    "metadata that say v": _told_v,
    "projection as a layer": _layer,
    "stray tensors in a file": _file(extra=_STRAY),
    "no projection": _file(drop=_PROJECTION),
    "pruned file": _file(drop="model.diffusion_model.middle_block."),
    "UNet alone": _file(drop="conditioner."),
}

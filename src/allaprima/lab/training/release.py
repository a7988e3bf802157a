"""From a training's checkpoint to the weight file that ships."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.checkpoint import of_prefix, read_tensors, write_tensors
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.denoiser import PATCH, Denoiser, DenoiserConfig
from allaprima.paint.bases.vignette.weights import stored

_LEAVING = ("detail.narrow.", "detail.finish.")
"""Layers by which a fine end adds to the picture; at zero it adds nothing."""


def averaged(
    run: Path,
    model: nn.Module,
    *,
    kept: bool = False,
    begun: Mapping[str, Tensor] | None = None,
    share: float = 1.0,
) -> int:
    """Load the averaged weights of a training's folder into `model`; return the updates behind them.

    With `kept` the model holds the weights that the training began with, and keeps those that the folder lacks.

    Args:
        begun: what the training began with, for a `share` below 1.
        share: of what was learned; weights between two ends of a training often do what either does best
            (Wortsman et al. 2021, arXiv:2109.01903).

    Raises:
        WeightsError: the folder has no whole checkpoint, or one of another model.
    """
    learned, step = learned_weights(run)
    if begun is not None and share < 1.0:
        learned = {name: _between(name, begun.get(name), after, share) for name, after in learned.items()}
    try:
        model.load_state_dict({**model.state_dict(), **learned} if kept else learned)
    except RuntimeError as error:
        raise WeightsError(f"{run} is a training of another model: {error}") from error
    model.eval().requires_grad_(False)
    return step


def _between(name: str, before: Tensor | None, after: Tensor, share: float) -> Tensor:
    """Return a weight between two; of a fine end that was not there before, as much is added to the picture."""
    if before is None:
        return after * share if name.startswith(_LEAVING) else after
    return torch.lerp(before.float(), after.float(), share)


def learned_weights(run: Path) -> tuple[dict[str, Tensor], int]:
    """Return the averaged weights in a training's folder and the updates behind them."""
    tensors, metadata = read_tensors(run / "checkpoint.safetensors")
    average = of_prefix("average", tensors)
    # A denoiser may have trained with a head beside it, and a decoder with a critic; neither is released.
    part = of_prefix("denoiser", average) or of_prefix("autoencoder", average)
    return part or average, int(metadata["step"])


def denoiser_of(run: Path) -> Denoiser:
    """Return an untrained denoiser with the latent and layout channels of the one in a training's folder."""
    learned, _ = learned_weights(run)
    try:
        inputs = learned["transformer.img_in.weight"].shape[1] // PATCH**2
        latent = learned["transformer.proj_out.weight"].shape[0] // PATCH**2
    except KeyError as error:
        raise WeightsError(f"{run} is a training of another model: it has no {error}") from error
    return Denoiser(DenoiserConfig(latent_channels=latent, layout_channels=inputs - latent))


def detail_width_of(run: Path) -> int:
    """Return the channels of the fine end of the decoder in a training's folder; 0 if it has none."""
    narrow = learned_weights(run)[0].get("detail.narrow.weight")
    return 0 if narrow is None else narrow.shape[1]


@torch.no_grad()
def measure_latents(model: Autoencoder, store: SceneStore, *, pictures: int = 1024, batch: int = 16) -> None:
    """Set the autoencoder's whitening from the raw latents of a store's first pictures."""
    model.whiten.mean.zero_()
    model.whiten.deviation.fill_(1.0)
    starts = range(0, min(pictures, len(store.images)), batch)
    batches = (to_pixels(store.images[start : start + batch]) for start in starts)
    latents = torch.cat([model.encode(pixels.to(model.device)).cpu() for pixels in batches])
    model.whiten.mean.copy_(latents.mean((0, 2, 3)))
    model.whiten.deviation.copy_(latents.std((0, 2, 3)))


def release(model: Autoencoder | Denoiser, path: Path, run: Path, step: int) -> None:
    """Write `model` to `path` in the precision that ships, with how it was trained in the metadata."""
    tensors, metadata = stored(model)
    write_tensors(path, tensors, {**metadata, "trained": training_facts(run, step)})


def training_facts(run: Path, step: int) -> dict[str, float]:
    """Return what a released file says about the training in a folder."""
    config = json.loads((run / "config.json").read_text())
    return {"steps": step, "batch_size": config["batch_size"], "learning_rate": config["learning_rate"]}

"""Taking blocks out of a picture with the de-block network."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from allaprima.core.retouch import Deblock
from allaprima.paint.retouch.deblock import DeblockNetwork, without_blocks
from allaprima.paint.retouch.network_files import load_deblock_network
from allaprima.paint.retouch.picture_arrays import to_array, to_image
from allaprima.paint.retouch.work import Work, Workshop


def deblock(image: Image.Image, operation: Deblock, workshop: Workshop) -> Work:
    """Return the picture without blocks; what is transparent stays so. See `Work`.

    Raises:
        WeightsError: there is no such network, or its file cannot be used.
    """
    network = get_deblock_network(operation, workshop)
    yield 0.1
    colors = torch.from_numpy(to_array(image.convert("RGB"))).permute(2, 0, 1)[None]
    cleaned = without_blocks(colors, network)[0].permute(1, 2, 0).float().cpu().numpy()
    matte = to_array(image.getchannel("A").convert("RGB"))[..., 0] if image.mode == "RGBA" else None
    yield 1.0
    return to_image(cleaned, matte)


def get_deblock_network(operation: Deblock, workshop: Workshop) -> DeblockNetwork:
    """Return the network that an operation names, loaded if it is not; raises as `deblock`."""
    path = Path(operation.network)
    return workshop.keep(
        ("deblock", path), lambda: load_deblock_network(path, workshop.device, workshop.dtype)
    )

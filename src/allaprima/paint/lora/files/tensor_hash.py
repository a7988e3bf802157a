"""The hash by which sites and managers know a LoRA whatever its metadata are: that of the bytes behind the header.

Source: `addnet_hash_safetensors` in modules/hashes.py of stable-diffusion-webui. Its pictures carry the first twelve
digits; Civitai calls it AutoV3.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from allaprima.paint.lora.files.header import opened, parse_header

DIGITS = 12
_PIECE = 1 << 20


def tensor_hash(path: Path) -> str:
    """Return the first digits of the SHA-256 of the tensors in the safetensors file at `path`.

    Raises:
        LoraError: it cannot be read, or is no safetensors file.
    """
    with opened(path) as (file, file_bytes):
        file.seek(parse_header(path, file, file_bytes).data_begin)
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()[:DIGITS]

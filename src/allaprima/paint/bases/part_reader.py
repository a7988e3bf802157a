"""From one part's file to its network: made on the meta device in the file's shapes, then given its weights.

    reader = PartReader.open(part, path, names=name_text_weights)
    network = reader.load(reader.make(build), torch.bfloat16, device, absent=False)

Weights stay as they are stored: quantised layers take the place of the network's own (`paint/quantization`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.files.header import FileHeader, StoredTensor, read_header
from allaprima.paint.bases.files.parts import PartFile
from allaprima.paint.bases.files.stored_weights import read_weights
from allaprima.paint.bases.qwen_image.weights import quiet
from allaprima.paint.quantization.loading import load_weights

Shapes = Mapping[str, StoredTensor]
"""A part's tensors, as its file announces them, under the names of its network."""

Names = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Gives a part's tensors the names that its network has for them."""


@dataclass(frozen=True, kw_only=True)
class PartReader:
    """One part's file, from which its network is made."""

    header: FileHeader
    prefix: str
    names: Names

    @classmethod
    def open(cls, part: PartFile, path: Path, names: Names = dict) -> PartReader:
        """Return the reader of a part that is in the file at `path`."""
        header = read_header(path)
        prefix = part.find_prefix(header)
        if prefix is None:
            raise WeightsError(f"{path} does not hold {part.name}; expected a file that does")
        return cls(header=header, prefix=prefix, names=names)

    @property
    def shapes(self) -> Shapes:
        """The part's tensors as the file announces them, under the network's names."""
        tensors = self.header.tensors.items()
        return self.names({
            name.removeprefix(self.prefix): tensor for name, tensor in tensors if name.startswith(self.prefix)
        })  # fmt: skip

    def make(self, build: Callable[[Shapes], Any]) -> Any:
        """Return the network without weights, of the shapes that the file has."""
        from accelerate import init_empty_weights

        try:
            with quiet(), init_empty_weights():
                return build(self.shapes)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        except DAMAGED as error:
            raise WeightsError(
                f"{self.header.path} has shapes that no network can be made of: {in_one_line(error)}; fetch it again"
            ) from error

    def load(self, network: Any, dtype: torch.dtype, device: torch.device, *, absent: bool) -> Any:
        """Give `network` its weights and return it; an `absent` one gets shapes and formats alone."""
        weights = self.names(read_weights(self.header, self.prefix, meta=absent))
        try:
            load_weights(network, weights, dtype=dtype, device="meta" if absent else device)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        return network

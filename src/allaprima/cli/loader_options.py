"""The options that say which bases are painted with, for commands that load them as `prima serve` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.output import check_memory
from allaprima.cli.paint_options import Cache, LoraDir, Memory, ModelsDirs, Quantize, TextEncoderFile, VaeFile
from allaprima.core.errors import WeightsError

if TYPE_CHECKING:
    from allaprima.cli.serve import Makers


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """Bases and how they are loaded."""

    base: Annotated[
        list[str] | None,
        typer.Option(help="Base to paint with; may be given again. Default: vignette.", show_default=False),
    ] = None
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None
    models_dir: ModelsDirs = None
    text_encoder: TextEncoderFile = None
    vae: VaeFile = None
    lora_dir: LoraDir = None
    device: Annotated[
        str | None, typer.Option(help="Device as torch names it. Default: a GPU for each, or the processor.")
    ] = None
    memory: Memory = None
    quantize: Quantize = None
    cache: Cache = None

    def makers(self) -> Makers:
        """Return what loads the bases.

        Raises:
            UserError: an option is wrong, or a base is not there.
        """
        from allaprima.cli.serve import Makers, specs_by_name

        check_memory(self.memory)
        if self.weights is not None and not self.weights.is_dir():
            raise WeightsError(
                f"got --weights {self.weights}, which is not there; expected a folder of Vignette's weights"
            )
        makers = Makers(
            specs=specs_by_name(self.base or ["vignette"]), weights=self.weights, lora_dir=self.lora_dir,
            models_dirs=tuple(self.models_dir or ()), device=self.device, memory_gib=self.memory,
            quantize=self.quantize, cache=self.cache, text_encoder=self.text_encoder, vae=self.vae,
        )  # fmt: skip
        makers.check_options()
        return makers

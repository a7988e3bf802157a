"""The LoRAs of one base: those of a folder, read when they are first asked for and attached to the base's rack.

    manager = LoraManager(base.modules(), LoraFolder(Path("models/lora")), family=base.family)
    manager.apply([LoraUse(name="ink", weight=0.8)])     # the next picture has it
    manager.merge(budget_s=0.01)                         # while nothing is painted
    manager.apply([])                                    # the base as it was, bit for bit

A file that has changed on disk is read again the next time it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.core.lru import LruCache
from allaprima.core.painted_lora import PaintedLora, parts_of
from allaprima.core.request import LoraUse
from allaprima.paint.lora.files.families import TITLES, differ
from allaprima.paint.lora.files.folder import LoraFile, LoraFolder
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import LoraReader
from allaprima.paint.lora.files.summary import LoraSummary, read_summary
from allaprima.paint.lora.files.tensor_hash import tensor_hash
from allaprima.paint.lora.runtime.rack import Rack, RackState

KEPT_BYTES = 2 * 2**30
MAX_SUMMARIES = 64


def check_uses(uses: Sequence[LoraUse], folder: LoraFolder, family: str) -> None:
    """Refuse, by the files' headers alone, `uses` that no base of `family` can have.

    It takes a few milliseconds, and is for before a base is loaded, which may take minutes. `LoraManager.load` checks
    what needs the base itself or the numbers.

    Raises:
        LoraError: a name means no file, or one that no base of the family can use.
    """

    def fits(path: Path) -> bool:
        return read_summary(path).family in (None, family)

    for use in uses:
        summary = read_summary(folder.require(use.name, fits=fits).path)
        if summary.family not in (None, family):
            raise LoraError(
                f"{summary.path} is a LoRA for {summary.made_for}; the base here is {TITLES.get(family, family)}, "
                "expected a LoRA for that"
            )


class LoraManager:
    """One base's rack and the folder that fills it.

    Args:
        device: where the networks compute; None for where their weights are.
        kept_bytes: how much of what has been read is kept for the next time.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        folder: LoraFolder,
        *,
        family: str | None = None,
        device: torch.device | None = None,
        kept_bytes: int = KEPT_BYTES,
        keeps_merges: bool = True,
    ) -> None:
        self.folder = folder
        self._family = family
        self._device = device
        self._kept_bytes = kept_bytes
        self._keeps_merges = keeps_merges
        self._modules = modules
        self._reader: LoraReader | None = None
        self._rack: Rack | None = None
        self._loaded: dict[str, tuple[LoraFile, Lora]] = {}
        """What is registered by name, and its file, the least recently used first."""
        self._summaries = LruCache[tuple[Path, tuple[int, ...]], LoraSummary](max_count=MAX_SUMMARIES)
        """By file and stamp: every first frame asks for the summaries of the turbos."""
        self._hashes = LruCache[tuple[Path, tuple[int, ...]], str](max_count=MAX_SUMMARIES)
        """By file and stamp: a large file takes a second."""

    @property
    def reader(self) -> LoraReader:
        """The reader, made when it is first needed."""
        if self._reader is None:
            self._reader = LoraReader(self._modules, family=self._family)
        return self._reader

    @property
    def rack(self) -> Rack:
        """The rack, made when it is first needed: a base without LoRAs pays nothing."""
        if self._rack is None:
            self._rack = Rack(self._modules, device=self._device, keeps_merges=self._keeps_merges)
        return self._rack

    def state(self, network: str | None = None) -> RackState:
        """Return what is attached that touches `network`, see `Rack.state`."""
        return () if self._rack is None else self._rack.state(network)

    def make_ready(self) -> None:
        """Make the reader and the rack if there are LoRAs: for when nobody waits yet.

        The first LoRA of SDXL would wait 70 ms for the names of its layers.
        """
        with suppress(LoraError):  # a folder that cannot be looked into is an error to who asks for a LoRA
            if self.folder.names():
                _ = self.reader, self.rack

    def load(self, uses: Sequence[LoraUse]) -> None:
        """Have `uses` ready; what is attached stays, though a file that has changed is attached as it is now.

        Raises:
            LoraError: a name means no file, or a file cannot be used. What was attached stays as it was.
        """
        files = [self.folder.require(use.name, fits=self._fits) for use in uses]
        for file in files:
            self._load(file)
        self._forget_oldest(keep={use.name for use in uses})

    def summary(self, name: str) -> LoraSummary | None:
        """Return what the header of the LoRA `name` says; None if there is none, or it is for another base.

        Raises:
            LoraError: it cannot be used with any base.
        """
        file = self.folder.find(name, fits=self._fits)
        if file is None:
            return None
        summary = self._summaries.get_or_make((file.path, file.stamp), lambda: read_summary(file.path))
        return None if differ(summary.architecture, self.reader.base) else summary

    def metadata(self, uses: Sequence[LoraUse]) -> tuple[LoraMetadata, ...]:
        """Return what the files of `uses` say about themselves, in the order of `uses`."""
        self.load(uses)
        return tuple(self._loaded[use.name][1].metadata for use in uses)

    def loaded_metadata(self, uses: Sequence[LoraUse]) -> tuple[LoraMetadata, ...]:
        """Return `metadata` without a look at the folder if all are loaded: for every frame."""
        if all(use.name in self._loaded for use in uses):
            return tuple(self._loaded[use.name][1].metadata for use in uses)
        return self.metadata(uses)

    def unmatched(self, uses: Sequence[LoraUse]) -> dict[str, tuple[str, ...]]:
        """Return, by name, the keys of the files of `uses` that match no layer of the base."""
        if not all(use.name in self._loaded for use in uses):
            self.load(uses)
        return {use.name: self._loaded[use.name][1].unmatched for use in uses}

    def painted(self, uses: Sequence[LoraUse]) -> tuple[PaintedLora, ...]:
        """Return what a picture tells of `uses`: the parts that each changes, and its file's `tensor_hash`."""
        known = [(use, *self._loaded[use.name]) for use in uses if use.name in self._loaded]
        return tuple(
            PaintedLora(
                name=use.name,
                weight=use.weight,
                parts=parts_of({**lora.updates, **lora.vectors}),
                hash=self._find_hash(file),
                accelerator=lora.metadata.accelerator,
            )
            for use, file, lora in known
        )

    def _find_hash(self, file: LoraFile) -> str | None:
        with suppress(LoraError):
            return self._hashes.get_or_make((file.path, file.stamp), partial(tensor_hash, file.path))
        return None

    def apply(self, uses: Sequence[LoraUse]) -> None:
        """Load `uses` and attach exactly those; what is attached already is left as it is, merged if it was."""
        self.load(uses)
        self.set_adapters(uses)

    def set_adapters(self, uses: Sequence[LoraUse]) -> None:
        """Attach exactly `uses`, which are loaded, without a look at the folder.

        Raises:
            LoraError: one has not been loaded, or has been forgotten since.
        """
        if uses or self._rack is not None:
            self.rack.set_adapters({use.name: use.weight for use in uses})

    def merge(self, budget_s: float | None = None) -> bool:
        """Use idle time to make what is attached free of cost, see `Rack.merge`."""
        if self._reader is not None:
            self._reader.make_ready()
        return True if self._rack is None else self._rack.merge(budget_s)

    def _fits(self, path: Path) -> bool:
        """Return whether the LoRA at `path` may be for this base: a user's that is not hides none that ships."""
        return not differ(read_summary(path).architecture, self.reader.base)

    def _load(self, file: LoraFile) -> None:
        loaded = self._loaded.get(file.name)
        if loaded is None or loaded[0] != file:
            lora = self.reader.read(file.path, name=file.name)
            self.rack.register(lora)
            loaded = file, lora
        self._loaded.pop(file.name, None)
        self._loaded[file.name] = loaded

    def _forget_oldest(self, keep: set[str]) -> None:
        num_bytes = sum(lora.num_bytes for _, lora in self._loaded.values())
        keep = keep | set(self.rack.attached) if self._loaded else keep
        for name, (_, lora) in list(self._loaded.items()):
            if num_bytes <= self._kept_bytes:
                return
            if name not in keep:
                self.rack.forget(name)
                del self._loaded[name]
                num_bytes -= lora.num_bytes

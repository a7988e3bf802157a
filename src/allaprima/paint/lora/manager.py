"""What a base can wear: a folder's LoRAs, read when they are first asked for and hung on the base's rack.

manager = LoraManager(base.modules(), LoraFolder(Path("models/lora")), family=base.family)
manager.wear([LoraUse(name="ink", weight=0.8)])     # the next picture has it
manager.fold(0.01)                                   # ten idle milliseconds
manager.wear([])                                     # the base as it was, bit for bit

A file that has changed on disk is read again the next time it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.core.request import LoraUse
from allaprima.paint.lora.files.families import TITLES, differ
from allaprima.paint.lora.files.folder import LoraFile, LoraFolder
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import LoraReader
from allaprima.paint.lora.files.summary import LoraSummary, read_summary
from allaprima.paint.lora.runtime.rack import Content, Rack

KEPT_BYTES = 2 * 2**30
MAX_SUMMARIES = 64


def check_uses(uses: Sequence[LoraUse], folder: LoraFolder, family: str) -> None:
    """Make sure, from the files' headers alone, that a base of `family` might wear `uses`.

    What takes the base itself or the numbers is found out by `LoraManager.read`; this takes a few milliseconds and is
    for before a base is loaded, which may take minutes.

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
        modules: the base's networks, as `Base.modules()` gives them.
        folder: where the LoRAs lie.
        family: `Base.family`.
        device: where the networks compute; None for where their weights are.
        kept_bytes: how much of what has been read is kept for the next time.
        keeps_folds: see `Rack`.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        folder: LoraFolder,
        *,
        family: str | None = None,
        device: torch.device | None = None,
        kept_bytes: int = KEPT_BYTES,
        keeps_folds: bool = True,
    ) -> None:
        self.folder = folder
        self._family = family
        self._device = device
        self._kept_bytes = kept_bytes
        self._keeps_folds = keeps_folds
        self._modules = modules
        self._reader: LoraReader | None = None
        self._rack: Rack | None = None
        self._read: OrderedDict[str, tuple[Path, tuple[int, ...], int]] = OrderedDict()
        """Name to file, stamp and size of what is registered, the least recently worn first."""
        self._summaries: OrderedDict[Path, tuple[tuple[int, ...], LoraSummary]] = OrderedDict()
        """File to stamp and summary: every first frame asks for the turbos'."""
        self._told: dict[str, LoraMetadata] = {}
        """What the registered files say about themselves."""
        self._unmatched: dict[str, tuple[str, ...]] = {}
        """Their keys that no layer answers to."""

    @property
    def reader(self) -> LoraReader:
        """The reader, made when it is first needed."""
        if self._reader is None:
            self._reader = LoraReader(self._modules, family=self._family)
        return self._reader

    @property
    def rack(self) -> Rack:
        """The rack, made when it is first needed: a base that never wears anything pays nothing."""
        if self._rack is None:
            self._rack = Rack(self._modules, device=self._device, keeps_folds=self._keeps_folds)
        return self._rack

    def state(self, network: str | None = None) -> Content:
        """Return what is worn that touches `network`, see `Rack.state`."""
        return () if self._rack is None else self._rack.state(network)

    def make_ready(self) -> None:
        """Have the names of the base's layers at hand if there are LoRAs: for when nobody waits yet.

        The first LoRA of SDXL would wait 70 ms for them.
        """
        with suppress(LoraError):  # a folder that cannot be looked into is an error to who asks for a LoRA
            if self.folder.names():
                _ = self.reader, self.rack

    def read(self, uses: Sequence[LoraUse]) -> None:
        """Have `uses` ready to be worn; what is worn stays, though a file that has changed is worn as it is now.

        Raises:
            LoraError: a name means no file, or a file cannot be used. What was worn is worn as before.
        """
        files = [self.folder.require(use.name, fits=self._fits) for use in uses]
        for file in files:
            self._register(file)
        self._forget_oldest(keep={use.name for use in uses})

    def summary(self, name: str) -> LoraSummary | None:
        """Return what the header of the LoRA `name` says; None if there is none, or it is for another base.

        Raises:
            LoraError: it cannot be used with any base.
        """
        file = self.folder.find(name, fits=self._fits)
        if file is None:
            return None
        summary = self._summary_of(file)
        return None if differ(summary.architecture, self.reader.base) else summary

    def metadata(self, uses: Sequence[LoraUse]) -> tuple[LoraMetadata, ...]:
        """Return what the files of `uses` say about themselves, in the order of `uses`.

        Raises:
            LoraError: as `read`.
        """
        self.read(uses)
        return tuple(self._told[use.name] for use in uses)

    def told(self, uses: Sequence[LoraUse]) -> tuple[LoraMetadata, ...]:
        """As `metadata`, without a look at the folder for those that have been read: for each frame anew."""
        known = all(use.name in self._told for use in uses)
        return tuple(self._told[use.name] for use in uses) if known else self.metadata(uses)

    def unmatched(self, uses: Sequence[LoraUse]) -> dict[str, tuple[str, ...]]:
        """Return, by name, the keys of the files of `uses` that no layer of the base answers to.

        Raises:
            LoraError: as `read`.
        """
        self.read(uses)
        return {use.name: self._unmatched[use.name] for use in uses}

    def wear(self, uses: Sequence[LoraUse]) -> None:
        """Wear exactly `uses`; what is worn already is left as it is, folded if it was.

        Raises:
            LoraError: as `read`.
        """
        self.read(uses)
        self.hold(uses)

    def hold(self, uses: Sequence[LoraUse]) -> None:
        """Wear exactly `uses`, which have been read, without a look at the folder.

        Raises:
            LoraError: one has not been read, or has been forgotten since.
        """
        if uses or self._rack is not None:
            self.rack.arrange({use.name: use.weight for use in uses})

    def fold(self, budget_seconds: float | None = None) -> bool:
        """Use idle time to make what is worn free of cost, see `Rack.fold`."""
        if self._reader is not None:
            self._reader.make_ready()
        return True if self._rack is None else self._rack.fold(budget_seconds)

    def _summary_of(self, file: LoraFile) -> LoraSummary:
        stamp, summary = self._summaries.pop(file.path, (None, None))
        if summary is None or stamp != file.stamp:
            summary = read_summary(file.path)
        self._summaries[file.path] = file.stamp, summary
        while len(self._summaries) > MAX_SUMMARIES:
            self._summaries.popitem(last=False)
        return summary

    def _fits(self, path: Path) -> bool:
        """Whether the LoRA at `path` may be for this base: one of yours that is not hides none that ships."""
        return not differ(read_summary(path).architecture, self.reader.base)

    def _register(self, file: LoraFile) -> None:
        path, stamp, _ = self._read.get(file.name, (None, (), 0))
        if (path, stamp) != (file.path, file.stamp):
            lora = self.reader.read(file.path, name=file.name)
            self.rack.register(lora)
            self._read[file.name] = (file.path, file.stamp, lora.num_bytes)
            self._told[file.name] = lora.metadata
            self._unmatched[file.name] = lora.unmatched
        self._read.move_to_end(file.name)

    def _forget_oldest(self, keep: set[str]) -> None:
        total = sum(size for _, _, size in self._read.values())
        keep = keep | set(self.rack.attached) if self._read else keep
        for name, (_, _, size) in list(self._read.items()):
            if total <= self._kept_bytes:
                return
            if name not in keep:
                self.rack.forget(name)
                del self._read[name], self._told[name], self._unmatched[name]
                total -= size

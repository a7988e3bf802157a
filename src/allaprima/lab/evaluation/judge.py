"""The judge: a small convolutional network that looks at a picture and says what is in it.

It marks the middle of every copy of every thing on a grid of 8-pixel cells, names the thing and its
accessory there, and names place, hour and weather of the picture as a whole. What a picture holds is then
read off by finding the peaks: which kinds, how many of each, where they stand. It learns from rendered scenes
alone, with seeds the base never sees, and the base never learns from it.

    judge, accuracy = load_judge()
    verdict = judge.look(pictures)[0]
    verdict.count("cat"), verdict.place
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.layout.vocabulary import Accessory, Hour, Place, Side, Weather

NO_ACCESSORY = "none"
CELL = 8
"""Pixels along one side of a cell of the grid."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """What a judge can name, and its size."""

    kinds: tuple[str, ...]
    """Kinds of things, `"person"` among them."""
    accessories: tuple[str, ...] = (NO_ACCESSORY, *get_args(Accessory))
    places: tuple[str, ...] = get_args(Place)
    hours: tuple[str, ...] = get_args(Hour)
    weathers: tuple[str, ...] = get_args(Weather)
    widths: tuple[int, int, int] = (32, 80, 160)
    """Channels at 1/4, 1/8 and 1/16 of the picture's side."""
    blocks: tuple[int, int, int] = (0, 2, 2)
    """Residual blocks at each of them."""
    threshold: float = 0.35
    """A cell is the middle of a thing where the judge believes so at least this much."""

    def to_json(self) -> str:
        """Return the configuration as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; unknown keys are a TypeError."""
        stored = json.loads(text).items()
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored
        }
        return cls(**fields)


class JudgeReading(NamedTuple):
    """What the network says of B pictures of H x W cells before anything is decided; all are logits."""

    middle: Tensor
    """(B, H, W): whether the middle of a thing lies in the cell."""
    kind: Tensor
    """(B, number of kinds, H, W)."""
    accessory: Tensor
    """(B, number of accessories, H, W)."""
    place: Tensor
    """(B, number of places)."""
    hour: Tensor
    """(B, number of hours)."""
    weather: Tensor
    """(B, number of weathers)."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One kind of thing the judge sees: how many copies, where, wearing what."""

    kind: str
    count: int
    x: float
    """Mean of the copies' middles, 0 at the left edge and 1 at the right."""
    accessory: str | None
    belief: float
    """How sure the judge is of the kind, 0 to 1, mean over the copies."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge sees in one picture."""

    things: tuple[Seen, ...]
    """Kinds from left to right."""
    place: str
    hour: str
    weather: str

    def find(self, kind: str) -> Seen | None:
        """Return the things of one kind, or None where there is none."""
        return next((seen for seen in self.things if seen.kind == kind), None)

    def count(self, kind: str) -> int:
        """Return how many copies of one kind there are."""
        seen = self.find(kind)
        return seen.count if seen else 0

    def side(self, kind: str) -> Side | None:
        """Return where one kind stands among all kinds seen; None where it is not there."""
        kinds = [seen.kind for seen in self.things]
        if kind not in kinds:
            return None
        rank = kinds.index(kind)
        if len(kinds) == 1 or 0 < rank < len(kinds) - 1:
            return "middle"
        return "left" if rank == 0 else "right"

    def describe(self) -> str:
        """Return one line for a reader, such as `2 cat (crown), rooftop, sunset, rain`."""
        things = [
            f"{seen.count} {seen.kind}" + (f" ({seen.accessory})" if seen.accessory else "")
            for seen in self.things
        ]
        return ", ".join([*(things or ["nothing"]), self.place, self.hour, self.weather])


class Judge(nn.Module):
    """The network and the reading of its answer."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        blocks = config.blocks
        self.fine = nn.Sequential(nn.Conv2d(3, fine, 4, stride=4), nn.ReLU(), *_blocks(fine, blocks[0]))
        self.middle = nn.Sequential(_convolution(fine, middle, stride=2), *_blocks(middle, blocks[1]))
        self.coarse = nn.Sequential(_convolution(middle, coarse, stride=2), *_blocks(coarse, blocks[2]))
        self.lift = nn.Conv2d(coarse, middle, 1)
        self.merge = _convolution(middle, middle)
        self.cells = nn.Conv2d(middle, 1 + len(config.kinds) + len(config.accessories), 1)
        self.whole = nn.Linear(
            2 * coarse + 2 * middle, len(config.places) + len(config.hours) + len(config.weathers)
        )
        nn.init.zeros_(self.cells.weight[:1])
        assert self.cells.bias is not None
        nn.init.constant_(self.cells.bias[:1], -4.0)  # middles are rare: start from "almost never"

    def forward(self, pictures: Tensor) -> JudgeReading:
        """Look at pictures (B, 3, 8H, 8W) in [0, 1]; H and W must be even."""
        middle = self.middle(self.fine(pictures * 2 - 1))
        coarse = self.coarse(middle)
        lifted = nn.functional.interpolate(self.lift(coarse), scale_factor=2.0, mode="nearest")
        merged = self.merge(middle + lifted)
        sizes = [1, len(self.config.kinds), len(self.config.accessories)]
        middles, kinds, accessories = self.cells(merged).split(sizes, dim=1)
        pooled = torch.cat(
            [pool((2, 3)) for map_ in (coarse, middle) for pool in (map_.mean, map_.amax)], dim=1
        )
        sizes = [len(self.config.places), len(self.config.hours), len(self.config.weathers)]
        place, hour, weather = self.whole(pooled).split(sizes, dim=1)
        return JudgeReading(middles[:, 0], kinds, accessories, place, hour, weather)

    @torch.inference_mode()
    def look(self, pictures: Tensor) -> list[Verdict]:
        """Say what is in each picture (B, 3, 256, 256) in [0, 1], whatever mode the module is in."""
        training = self.training
        self.eval()
        try:
            reading = self(pictures.float().contiguous(memory_format=torch.channels_last))
        finally:
            self.train(training)
        return read_verdicts(reading, self.config)


def _convolution(width_in: int, width_out: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, normalised and rectified."""
    convolution = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out), nn.ReLU())


def _blocks(width: int, count: int) -> list[_Block]:
    return [_Block(width) for _ in range(count)]


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(width, width), *list(_convolution(width, width))[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Refine a (B, C, H, W) map."""
        return torch.relu(x + self.body(x))


def find_peaks(belief: Tensor, threshold: float) -> list[tuple[int, int]]:
    """Return rows and columns of the cells of an (H, W) map that top all eight neighbours and reach `threshold`.

    Of equal neighbours the first in reading order counts, so a plateau is one peak.
    """
    around = nn.functional.max_pool2d(belief[None, None], 3, stride=1, padding=1)[0, 0]
    rows, columns = torch.nonzero((belief >= around) & (belief >= threshold), as_tuple=True)
    peaks: list[tuple[int, int]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if all(max(abs(row - y), abs(column - x)) > 1 for y, x in peaks):
            peaks.append((row, column))
    return peaks


def read_verdicts(reading: JudgeReading, config: JudgeConfig) -> list[Verdict]:
    """Decide what a reading says, picture by picture."""
    belief = reading.middle.sigmoid()
    kinds = reading.kind.softmax(dim=1)
    accessories = reading.accessory.softmax(dim=1)
    return [
        Verdict(
            things=_read_things(belief[index], kinds[index], accessories[index], config),
            place=config.places[int(reading.place[index].argmax())],
            hour=config.hours[int(reading.hour[index].argmax())],
            weather=config.weathers[int(reading.weather[index].argmax())],
        )
        for index in range(len(belief))
    ]


def _read_things(belief: Tensor, kinds: Tensor, accessories: Tensor, config: JudgeConfig) -> tuple[Seen, ...]:
    copies: dict[int, list[tuple[float, float, Tensor]]] = {}
    for row, column in find_peaks(belief, config.threshold):
        around = (slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2))
        kind = kinds[:, *around].mean((1, 2))
        best = int(kind.argmax())
        x = (column + 0.5) / belief.shape[1]
        copies.setdefault(best, []).append((x, float(kind[best]), accessories[:, *around].mean((1, 2))))
    things = []
    for best, found in copies.items():
        accessory = config.accessories[int(torch.stack([worn for _, _, worn in found]).mean(0).argmax())]
        things.append(
            Seen(
                kind=config.kinds[best],
                count=len(found),
                x=sum(x for x, _, _ in found) / len(found),
                accessory=None if accessory == NO_ACCESSORY else accessory,
                belief=sum(sure for _, sure, _ in found) / len(found),
            )
        )
    return tuple(sorted(things, key=lambda seen: seen.x))


def default_judge_path() -> Path:
    """Return where the judge's weights ship inside the package."""
    import allaprima

    return Path(allaprima.__path__[0]) / "weights" / "judge" / "judge.safetensors"


def load_judge(path: Path | None = None) -> tuple[Judge, dict[str, float]]:
    """Load a judge and, per attribute, how often it was right on rendered scenes it had never seen.

    Raises:
        WeightsError: the file is missing, cut short or not a judge.
    """
    path = path or default_judge_path()
    if not path.is_file():
        raise WeightsError(f"no judge at {path}; train one with `prima train judge`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        judge = Judge(JudgeConfig.from_json(metadata["config"]))
        judge.load_state_dict(tensors)
        accuracy: dict[str, float] = json.loads(metadata["accuracy"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is not a judge's weight file or is damaged: {error}") from error
    return judge.eval(), accuracy

"""A base that follows a memory plan, and can change to a thriftier one; a base itself.

base = PlannedBase(load_base("sdxl.safetensors", device=device), device=device)
base.follow(MemoryPlan(tiled=True))
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.layout import PaintedLayout
from allaprima.paint.contract.base import Base, Stage, TextStates
from allaprima.paint.contract.wrapper import BaseWrapper
from allaprima.paint.memory import offload
from allaprima.paint.memory.plan import RESIDENT, MemoryForecast, MemoryPlan, choose_plan, find_thriftier
from allaprima.paint.memory.process_memory import keep_heap_small
from allaprima.paint.memory.shortage import MAY_TELL, available_bytes, is_shortage, shortage
from allaprima.paint.memory.tiling import decode_tiled, encode_tiled

Reload = Callable[[Stage], Sequence[nn.Module]]
"""Reads a stage's networks from their files, onto the CPU."""

Forecaster = Callable[[int, int, int], list[MemoryForecast]]
"""Returns every plan's forecast for a picture's width and height in pixels.

The third number is how many bytes of the base's weights the process holds already."""

OTHER: dict[Stage, Stage] = {"text": "predict", "predict": "text"}
"""The stage that has to leave for a stage to come, where they take turns."""


class PlannedBase(BaseWrapper):
    """A base under a plan.

    Args:
        base: on `device` for the plan "resident"; for others on the CPU, perhaps without the weights of text encoder
            and denoiser.
        reload: reads networks again whose weights a CPU has let go; without it a CPU keeps them all.
        forecast: what plans take, for `limit` and for errors.
        limit: bytes that may be taken; None for as much as there is.
        planned: pixels of the largest picture that `plan` is known to be good for.
    """

    def __init__(
        self,
        base: Base,
        plan: MemoryPlan = RESIDENT,
        *,
        device: torch.device,
        reload: Reload | None = None,
        forecast: Forecaster | None = None,
        limit: int | None = None,
        planned: int = 0,
    ) -> None:
        super().__init__(base)
        self._device = device
        self._reload = reload
        self._forecast = forecast
        self._limit = limit
        self._planned = planned
        self._plan = RESIDENT
        self.follow(plan)

    @property
    def plan(self) -> MemoryPlan:
        """The plan that it follows."""
        return self._plan

    @property
    def is_resident(self) -> bool:
        """Whether all networks stay on the device."""
        return self._plan.residency == "resident"

    def fit_memory(self, width: int, height: int, before_move: Callable[[], object]) -> None:
        """Follow the first plan, from the present one on, that fits a picture of width x height pixels."""
        if (plan := self._plan_for(width, height)) != self._plan:
            before_move()
            self.follow(plan)

    def use_next_plan(self, before_move: Callable[[], object]) -> bool:
        """Follow the next thriftier plan from now on; return False if there is none."""
        before_move()
        plan = find_thriftier(self._plan, self._device.type, reloads=self.traits.reloads)
        if plan is None or (plan.residency != "resident" and self._reload is None):
            return False
        self.follow(plan)
        return True

    def shortage(self, width: int, height: int) -> OutOfMemoryError:
        """Return the error for a picture of width x height pixels that did not fit, naming a plan that would."""
        return shortage(self._plan, self._forecasts(width, height), available_bytes(self._device))

    def _plan_for(self, width: int, height: int) -> MemoryPlan:
        if self._limit is None or width * height <= self._planned:
            return self._plan
        forecasts = self._forecasts(width, height)
        plans = [forecast.plan for forecast in forecasts]
        plan = self._plan
        if forecasts:
            plan = choose_plan(forecasts[plans.index(plan) :], self._limit, str(self._device)).plan
        self._planned = width * height
        return plan

    def _forecasts(self, width: int, height: int) -> list[MemoryForecast]:
        try:
            return [] if self._forecast is None else self._forecast(width, height, self._held_bytes())
        except MAY_TELL as error:
            if not is_shortage(error):
                raise
            return []  # there is too little memory even for a forecast

    def _held_bytes(self) -> int:
        networks = [network for stage in self._base.stages().values() for network in stage]
        weights = [weight for network in networks for weight in network.parameters()]
        return sum(weight.nbytes for weight in weights if weight.device.type == "cpu")

    def follow(self, plan: MemoryPlan) -> None:
        """Follow `plan` from now on; networks come to the device when they are needed."""
        if plan.tiled and self._device.type == "cpu":
            keep_heap_small()
        if plan.residency == self._plan.residency:
            self._plan = plan
            return
        stages = self._base.stages()
        for stage in OTHER:
            for network in stages[stage]:
                offload.stop_streaming(network)
            self._send_away(stages[stage])
        if self._device.type != "cpu":
            for network in stages["decode"]:
                network.to(self._device)
            if plan.residency in ("streamed", "sequential"):
                offload.stream(stages["predict"], self._device, ahead=plan.residency == "streamed")
            if plan.residency == "sequential":
                offload.stream(stages["text"], self._device, ahead=False)
        self._plan = plan
        release()

    def _enter(self, stage: Stage) -> None:
        """Have the networks of `stage` where they can compute."""
        moved = self._plan.residency == "turns" or (self._plan.residency == "streamed" and stage == "text")
        stages = self._base.stages()
        if self._plan.residency == "streamed" and stage == "predict":
            self._send_away(stages["text"])
        if not moved:
            return
        if self._plan.residency == "turns" and not offload.are_away(stages[OTHER[stage]], self._device):
            self._send_away(stages[OTHER[stage]])
            release()
        if offload.are_away(stages[stage], self._device):
            self._fetch(stage, stages[stage])

    def _send_away(self, networks: Sequence[nn.Module]) -> None:
        for network in networks:
            if self._device.type != "cpu":
                network.to("cpu")
            elif self._reload is not None:
                offload.forget_weights(network)

    def _fetch(self, stage: Stage, networks: Sequence[nn.Module]) -> None:
        if self._device.type != "cpu":
            for network in networks:
                network.to(self._device)
        elif self._reload is not None:
            for network, fresh in zip(networks, self._reload(stage), strict=True):
                offload.take_weights(network, fresh)

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Encode `prompts` as the base does."""
        self._enter("text")
        return self._base.encode_text(prompts)

    def draw_layouts(self, layouts: Sequence[PaintedLayout], width: int, height: int) -> Tensor:
        """Return the map of `layouts`, whose kinds the text encoder reads."""
        self._enter("text")
        return self._base.draw_layouts(layouts, width, height)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """Return the base's noise, on the device."""
        self._enter("predict")
        return self._base.noise(seeds, width, height).to(self._device)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the base's prediction."""
        self._enter("predict")
        return self._base.predict(latents, t, text)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode as the base does, in tiles if the plan says so."""
        return decode_in(self._base, latents, tiled=self._plan.tiled)

    def decode_coarse(self, latents: Tensor) -> Tensor:
        """Decode coarsely as the base does, in tiles if the plan says so."""
        return decode_in(self._base, latents, tiled=self._plan.tiled, coarse=True)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode as the base does, in tiles if the plan says so."""
        if not self._plan.tiled:
            return self._base.encode(pixels)
        networks = self._base.stages()["decode"]
        return encode_tiled(self._base.encode, pixels, stride=self.stride, networks=networks)


def decode_in(base: Base, latents: Tensor, *, tiled: bool, coarse: bool = False) -> Tensor:
    """Return the pixels of `latents`, decoded in tiles if `tiled`, and coarsely if `coarse`."""
    decode = base.decode_coarse if coarse else base.decode
    if not tiled:
        return decode(latents)
    return decode_tiled(decode, latents, stride=base.stride, networks=base.stages()["decode"])


def release() -> None:
    """Give the memory of objects that nothing refers to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

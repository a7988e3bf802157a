"""A base that keeps to a plan, and can be told to be thriftier; a base itself.

base = Thrifty(load_base(...), plan, device=device, reload=...)
base.plan = thriftier(base.plan, "cpu")
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from allaprima.core.errors import OutOfMemoryError
from allaprima.paint.contract.base import Base, Stage, TextStates
from allaprima.paint.contract.wrapper import BaseWrapper
from allaprima.paint.memory import offload
from allaprima.paint.memory.plan import RESIDENT, MemoryForecast, MemoryPlan, choose, thriftier
from allaprima.paint.memory.process_memory import keep_heap_small
from allaprima.paint.memory.shortage import MAY_TELL, available_bytes, is_shortage, shortage
from allaprima.paint.memory.tiling import decode_tiled, encode_tiled

Reload = Callable[[Stage], Sequence[nn.Module]]
"""Reads a stage's networks from their files, onto the CPU."""

Foresee = Callable[[int, int, int], list[MemoryForecast]]
"""Tells what each plan takes for a picture of a width and height, beside so many bytes of weights that are there."""

OTHER: dict[Stage, Stage] = {"text": "predict", "predict": "text"}
"""Which of two that take turns has to leave for which."""


class PlannedBase(BaseWrapper):
    """A base under a plan.

    Args:
        base: on `device`; under another plan than "resident", on the CPU, or on the CPU and without the weights of
            text encoder and denoiser.
        plan: what to keep to.
        device: where to paint.
        reload: gets networks back that have left a CPU; without it none leave.
        foresee: what plans take, for what is said when none fits, and for `limit`.
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
        foresee: Foresee | None = None,
        limit: int | None = None,
        planned: int = 0,
    ) -> None:
        super().__init__(base)
        self._device = device
        self._reload = reload
        self._foresee = foresee
        self._limit = limit
        self._planned = planned
        self._plan = RESIDENT
        self.keep_to(plan)

    @property
    def plan(self) -> MemoryPlan:
        """What it keeps to."""
        return self._plan

    def save(self) -> bool:
        """Follow the next thriftier plan from now on; False if there is none."""
        following = thriftier(self._plan, self._device.type, self._base.family)
        if following is None or (following.residency != "resident" and self._reload is None):
            return False
        self.keep_to(following)
        return True

    def plan_for(self, width: int, height: int) -> MemoryPlan:
        """Return the plan for a picture of width x height pixels: the present one, or the first thriftier that fits.

        Raises:
            OutOfMemoryError: none stays within the limit.
        """
        if self._limit is None or width * height <= self._planned:
            return self._plan
        foreseen = self._foreseen(width, height)
        later = foreseen[[one.plan for one in foreseen].index(self._plan) :] if foreseen else []
        plan = choose(later, self._limit, str(self._device)).plan if later else self._plan
        self._planned = width * height
        return plan

    def shortage(self, width: int, height: int) -> OutOfMemoryError:
        """Return the error for a picture of width x height pixels that did not fit, naming a plan that would."""
        return shortage(self._plan, self._foreseen(width, height), available_bytes(self._device))

    def _foreseen(self, width: int, height: int) -> list[MemoryForecast]:
        try:
            return [] if self._foresee is None else self._foresee(width, height, self._held_bytes())
        except MAY_TELL as error:
            if not is_shortage(error):
                raise
            return []  # there is too little even for looking ahead

    def _held_bytes(self) -> int:
        networks = [network for stage in self._base.stages().values() for network in stage]
        weights = [weight for network in networks for weight in network.parameters()]
        return sum(weight.nbytes for weight in weights if weight.device.type == "cpu")

    def keep_to(self, plan: MemoryPlan) -> None:
        """Follow another plan from now on; networks move when it is their turn."""
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
        """As the base."""
        self._enter("text")
        return self._base.encode_text(prompts)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """As the base, on the device."""
        self._enter("predict")
        return self._base.noise(seeds, width, height).to(self._device)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """As the base."""
        self._enter("predict")
        return self._base.predict(latents, t, text)

    def decode(self, latents: Tensor) -> Tensor:
        """As the base, in tiles if the plan says so."""
        return decode_in(self._base, latents, stride=self._stride, tiled=self._plan.tiled)

    def encode(self, pixels: Tensor) -> Tensor:
        """As the base, in tiles if the plan says so."""
        if self._base.family != "vignette":
            self._enter("predict")  # its device and format are asked for
        if not self._plan.tiled:
            return self._base.encode(pixels)
        networks = self._base.stages()["decode"]
        return encode_tiled(self._base.encode, pixels, stride=self._stride, networks=networks)

    @property
    def _stride(self) -> int:
        return int(getattr(self._base, "stride", 16))


def decode_in(base: Base, latents: Tensor, *, stride: int, tiled: bool) -> Tensor:
    """Return the pixels of `latents`, in tiles if `tiled`."""
    if not tiled:
        return base.decode(latents)
    return decode_tiled(base.decode, latents, stride=stride, networks=base.stages()["decode"])


def stride_of(latents: Tensor, width: int) -> int:
    """Return the pixels to a latent cell."""
    return width // latents.shape[-1]


def release() -> None:
    """Give back what has been let go of."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

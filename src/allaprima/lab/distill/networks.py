"""The networks of all families, each behind :class:`Network`.

    network = network_of(base)                                              # of any family
    network = Vignette(denoiser.transformer, Flow(shift=2.0))
    network = MMDiT(model.transformer, Flow(shift=3.0), "rescaled")      # Qwen-Image
    network = UNet(model.unet, VariancePreserving())                     # SDXL
    network = Flux2(model.transformer, Flow(shift=9.6), "plain")         # FLUX.2 klein
    network = ZImage(model.transformer, Flow(shift=3.0), "plain")        # Z-Image

They wrap the painting networks themselves, whose module names a LoRA file uses, and let gradients through. What a
distillation has to know of a family stands here: a new family is a new wrapper and a line of `WRAPPERS`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.network import Decode, Network
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase, empirical_mu
from allaprima.paint.bases.flux2_klein.base import velocity_of as klein_velocity
from allaprima.paint.bases.sdxl.base import SdxlBase
from allaprima.paint.bases.sdxl.conditioning import padding_mask
from allaprima.paint.bases.vignette.base import VignetteBase, weights_folder
from allaprima.paint.bases.vignette.denoiser import PATCH, pack, unpack
from allaprima.paint.bases.z_image.base import PATCH as Z_IMAGE_PATCH
from allaprima.paint.bases.z_image.base import ZImageBase, rows_by_length
from allaprima.paint.bases.z_image.base import velocity_of as z_image_velocity
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.sampling.process import Flow, VariancePreserving

QWEN_SHIFT = 3.0
"""The static shift that distilled Qwen-Image students are trained and painted with."""


class TransformerNetwork(Network):
    """A transformer of text and picture, which predicts velocities."""

    root = "transformer"
    patch: int
    """Latent cells along one side of a token."""

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer's blocks."""
        return list(self.network.get_submodule("transformer_blocks").children())

    @property
    def time_embedder(self) -> nn.Module:
        """What its modulations are made from."""
        return self.network.get_submodule("time_text_embed")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """Return the picture's tokens; the text's are the first of the pair."""
        tokens: Tensor = output[1]
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self._grid(latents))

    def _grid(self, latents: Tensor) -> tuple[int, int]:
        """Return rows and columns of the tokens."""
        return latents.shape[-2] // self.patch, latents.shape[-1] // self.patch


class Vignette(TransformerNetwork):
    """Vignette's own transformer."""

    patch = PATCH
    is_small = True

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return Vignette's transformer with the shift it was trained for."""
        assert isinstance(base, VignetteBase)
        return cls(base.modules()["transformer"], Flow(shift=base.shift))

    @classmethod
    def decoder(cls, base: Base) -> Decode:
        """Return what turns latents into pixels in [0, 1], all at once."""
        return base.decode

    @classmethod
    def raw_decoder(cls, base: Base) -> Decode:
        """Return `decoder` without clamping, so that gradients always pass."""
        assert isinstance(base, VignetteBase)
        decode = base.autoencoder.decode
        return lambda latents: (decode(latents) + 1) / 2

    @classmethod
    def weights_hash(cls, base: Base, folder: Path | None) -> str:
        """Return the SHA-256 of the denoiser's file."""
        del base
        with ((folder or weights_folder()) / "denoiser.safetensors").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for latents (B, C, h, w) at times in [0, 1]; h and w even."""
        height, width = latents.shape[-2:]
        mask = None if bool(text.mask.all()) else text.mask
        told = self._with_map(latents, text.layout)
        tokens: Tensor = self.network(pack(told), text.states, mask, t, self._grid(latents))
        return unpack(tokens, height, width)

    def _with_map(self, latents: Tensor, layout: Tensor | None) -> Tensor:
        """Return latents with the map's channels behind theirs, zeros for none, if the network reads a map."""
        entry = self.network.get_submodule("img_in")
        assert isinstance(entry, nn.Linear | LoraLayer)
        channels = entry.in_features // PATCH**2 - latents.shape[1]
        if not channels:
            return latents
        if layout is None:
            layout = latents.new_zeros(len(latents), channels, *latents.shape[2:])
        return torch.cat([latents, layout], dim=1)


class MMDiT(TransformerNetwork):
    """`QwenImageTransformer2DModel`, of any size.

    Latents come as the base hands them out: packed, (B, 64, rows, columns) with a token to a cell. Prompts go through
    one length after the other, as they do in painting: the base's attention knows no mask.
    """

    patch = 1

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return Qwen-Image's transformer with the shift of distilled ones."""
        return cls(base.modules()["transformer"], Flow(shift=QWEN_SHIFT), base.guidance_rule)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for packed latents at times in [0, 1]."""
        groups = _rows_by_length(text)
        velocities = []
        for rows in groups:
            self._rows = rows
            states = text.states[rows, : text.lengths[rows[0]]]
            velocities.append(self._velocity(latents[rows], t[rows], states))
        return _in_order(velocities, groups)

    def features(self, latents: Tensor, t: Tensor, text: TextStates, depths: Sequence[int]) -> list[Tensor]:
        """See :meth:`Network.features`."""
        groups = _rows_by_length(text)
        # Group by group, for a block is called once for each.
        features = super().features
        parts = [features(latents[rows], t[rows], text.rows(rows), depths) for rows in groups]
        return [_in_order(maps, groups) for maps in zip(*parts, strict=True)]

    def _velocity(self, latents: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """Return the prediction for prompts of one length."""
        tokens: Tensor = self.network(
            hidden_states=latents.flatten(2).transpose(1, 2),
            encoder_hidden_states=states,
            timestep=t,
            img_shapes=[(1, *self._grid(latents))],
            return_dict=False,
        )[0]
        return tokens.transpose(1, 2).reshape(latents.shape)


class UNet(Network):
    """`UNet2DConditionModel` as in SDXL: predicts noise, is told sizes and a pooled text vector."""

    root = "unet"
    stride: int = 8
    """Pixels along one side of a latent cell."""

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return SDXL's UNet with the betas of its checkpoint.

        Raises:
            UserError: it predicts no noise, is told the guidance, reads a mask, or knows a time of pure noise.
        """
        assert isinstance(base, SdxlBase)
        if base.reads_mask:
            raise UserError(
                f"got {base.name}, which was trained to paint what a mask says; expected an SDXL that paints whole "
                "pictures, such as the one it was made from"
            )
        if (base.prediction, base.guidance_rule) != ("epsilon", "plain"):
            raise UserError(
                f"got {base.name} with prediction {base.prediction!r} and guidance {base.guidance_rule!r}; expected "
                "an SDXL with 'epsilon' and 'plain', such as the published base"
            )
        if base.scheduler.betas.zero_terminal:
            raise UserError(
                f"got {base.name} with rescale_betas_zero_snr in its scheduler_config.json; expected betas that "
                "leave something of the picture, for the noise in pure noise tells nothing of one"
            )
        return cls(base.modules()["unet"], VariancePreserving(betas=base.scheduler.betas))

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the noise in latents (B, C, h, w) at times 0 to 999."""
        height, width = (self.stride * side for side in latents.shape[-2:])
        sizes = t.new_tensor([height, width, 0, 0, height, width]).expand(len(latents), -1)
        added = None if text.pooled is None else {"text_embeds": text.pooled, "time_ids": sizes}
        noise: Tensor = self.network(
            latents,
            t,
            encoder_hidden_states=text.states,
            encoder_attention_mask=padding_mask(text),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return noise

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The way down and the middle."""
        down, middle = (self.network.get_submodule(name) for name in ("down_blocks", "mid_block"))
        return [*down.children(), middle]

    @property
    def time_embedder(self) -> nn.Module:
        """The embedding of the time, before that of text and sizes is added."""
        return self.network.get_submodule("time_embedding")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """Return the output; a block on the way down also returns what it hands across."""
        del latents
        features: Tensor = output[0] if isinstance(output, tuple) else output
        return features


class Flux2(TransformerNetwork):
    """`Flux2Transformer2DModel`, as in FLUX.2 klein; latents come packed, with a token to a cell."""

    patch = 1

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return klein's transformer with the shift that it has at its own size and number of steps."""
        assert isinstance(base, Flux2KleinBase)
        own = base.defaults
        mu = empirical_mu(own.width * own.height // base.stride**2, own.steps)
        return cls(base.modules()["transformer"], Flow(shift=math.exp(mu)), base.guidance_rule)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for packed latents at times in [0, 1]."""
        return klein_velocity(self.network, latents, t, text.states)

    @property
    def time_embedder(self) -> nn.Module:
        """What its modulations are made from."""
        return self.network.get_submodule("time_guidance_embed")


class ZImage(TransformerNetwork):
    """`ZImageTransformer2DModel`; prompts go through one padded length after the other, as they do in painting."""

    patch = Z_IMAGE_PATCH

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return Z-Image's transformer with the shift of its checkpoint."""
        assert isinstance(base, ZImageBase)
        return cls(base.modules()["transformer"], Flow(shift=base.flow.shift), base.guidance_rule)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for latents (B, C, h, w) at times in [0, 1]; h and w even."""
        groups = rows_by_length(text)
        velocities = []
        for rows in groups:
            self._rows = rows
            velocities.append(z_image_velocity(self.network, latents[rows], t[rows], text.rows(rows)))
        return _in_order(velocities, groups)

    def features(self, latents: Tensor, t: Tensor, text: TextStates, depths: Sequence[int]) -> list[Tensor]:
        """See :meth:`Network.features`."""
        groups = rows_by_length(text)
        features = super().features
        parts = [features(latents[rows], t[rows], text.rows(rows), depths) for rows in groups]
        return [_in_order(maps, groups) for maps in zip(*parts, strict=True)]

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The layers that see picture and text."""
        return list(self.network.get_submodule("layers").children())

    @property
    def time_embedder(self) -> nn.Module:
        """What its modulations are made from."""
        return self.network.get_submodule("t_embedder")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """Return the picture's tokens, which are the first."""
        rows, columns = self._grid(latents)
        tokens: Tensor = output[:, : rows * columns]
        return tokens.transpose(1, 2).reshape(len(tokens), -1, rows, columns)


WRAPPERS: dict[str, type[Network]] = {
    "vignette": Vignette, "qwen-image": MMDiT, "sdxl": UNet, "flux2-klein": Flux2, "z-image": ZImage,
}  # fmt: skip
"""Family to the wrapper of its network."""


def wrapper_of(base: Base) -> type[Network]:
    """Return the wrapper for a base's family."""
    if base.family not in WRAPPERS:
        *others, last = WRAPPERS
        raise UserError(f"got a base of family {base.family!r}; expected {', '.join(others)} or {last}")
    return WRAPPERS[base.family]


def network_of(base: Base) -> Network:
    """Return the network of a loaded base, as a teacher."""
    return wrapper_of(base).of_base(base)


def base_hash(base: Base, weights: Path | None) -> str:
    """Return a hash that tells the base's weights from others: Vignette's file, or a sample of another's tensors.

    Args:
        weights: the folder of Vignette's weights, None for those that ship.
    """
    return WRAPPERS.get(base.family, Network).weights_hash(base, weights)


def _rows_by_length(text: TextStates) -> list[list[int]]:
    """Return the numbers of the prompts, those of one length together."""
    groups: dict[int, list[int]] = {}
    for row, length in enumerate(text.lengths):
        groups.setdefault(length, []).append(row)
    return list(groups.values())


def _in_order(parts: Sequence[Tensor], groups: Sequence[Sequence[int]]) -> Tensor:
    """Return one tensor of what was computed group by group, in the order of the prompts."""
    order = [row for rows in groups for row in rows]
    return torch.cat(list(parts))[sorted(range(len(order)), key=order.__getitem__)]

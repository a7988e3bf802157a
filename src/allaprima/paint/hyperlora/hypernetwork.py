"""HyperLoRA: photos of a person in, the person's LoRA out, in one pass (arXiv:2503.16944).

    coefficients = network.predict(patches=patches, embedding=embedding)
    lora = Lora(name="ada", updates=network.identity_updates(coefficients))

What comes out is an ordinary LoRA. There are two: the ID-LoRA, which is the face, and the Base-LoRA, which takes up
what else is in a photo, so that the ID-LoRA need not; painting usually leaves it away.

Shape letters: N photos, L patches, W width of an encoder's patches, E width of an identity embedding, P projections,
K basis matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from allaprima.paint.hyperlora.basis import LowRankBasis
from allaprima.paint.hyperlora.coefficients import Coefficients, unit
from allaprima.paint.hyperlora.projections import Projection
from allaprima.paint.hyperlora.resampler import Resampler
from allaprima.paint.lora.update import LowRank


@dataclass(frozen=True, kw_only=True)
class HyperLoraConfig:
    """The size of a `HyperLora`; as published where nothing is said."""

    num_basis: int = 128
    """K, of each projection, for down and up and for both LoRAs."""
    id_rank: int = 8
    base_rank: int = 4
    """Of the Base-LoRA; 0 for none."""
    scale: float = 0.5
    """Alpha over rank: what the product of up and down is multiplied by."""
    patch_width: int | None = 1024
    """W, of the image encoder's patches; None for a network that reads the identity embedding alone."""
    embedding_width: int | None = 512
    """E; None for a network that reads patches alone."""
    id_tokens: int = 16
    """How many tokens the identity embedding becomes, each as wide as a patch."""
    width: int = 1024
    depth: int = 4
    heads: int = 12
    head_width: int = 64
    widening: int = 4

    def __post_init__(self) -> None:
        """Refuse a network that reads nothing, and a Base-LoRA without patches to predict it from."""
        if self.patch_width is None and (self.embedding_width is None or self.base_rank):
            raise ValueError(
                f"got patch_width {self.patch_width}, embedding_width {self.embedding_width} and base_rank "
                f"{self.base_rank}; expected patches or an embedding, and patches for a Base-LoRA"
            )

    @property
    def token_width(self) -> int:
        """Of what the resampler looks at."""
        return self.patch_width or self.embedding_width or 0


class HyperLora(nn.Module):
    """The network for one base: it knows its projections, in their order."""

    def __init__(self, projections: Sequence[Projection], config: HyperLoraConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HyperLoraConfig()
        self.projections = tuple(projections)
        self.id_projector: IdentityProjector | None = None
        sources = []
        if config.embedding_width is not None:
            self.id_projector = IdentityProjector(
                config.embedding_width, config.token_width, config.id_tokens
            )
            sources.append(config.token_width)
        if config.patch_width is not None:
            sources.append(config.patch_width)
        self.id_resampler = self._resampler(sources)
        self.id_basis = self._basis(config.id_rank)
        self.base_resampler: Resampler | None = None
        self.base_basis: nn.ModuleList | None = None
        if config.base_rank and config.patch_width is not None:
            self.base_resampler = self._resampler([config.patch_width])
            self.base_basis = self._basis(config.base_rank)

    def predict(
        self, *, patches: Tensor | None = None, embedding: Tensor | None = None, blurred: Tensor | None = None
    ) -> Coefficients:
        """Return the coefficients of the one person whom all photos show.

        Args:
            patches: (N, L, W) of the faces.
            embedding: (N, E) of the identity, each of length 1.
            blurred: (N, L, W) patches of the photos with their faces blurred; None for no Base-LoRA.
        """
        identity = self.identity_rows(patches=patches, embedding=embedding).mean(dim=0)
        base = None if blurred is None else unit(self.base_rows(blurred).mean(dim=0))
        return Coefficients(identity=unit(identity), base=base)

    def identity_rows(self, *, patches: Tensor | None, embedding: Tensor | None) -> Tensor:
        """Return each photo's own coefficients of the ID-LoRA, (N, P, 2, K), not yet of length 1."""
        sources: list[Tensor | None] = []
        if self.id_projector is not None:
            sources.append(None if embedding is None else self.id_projector(embedding))
        elif embedding is not None:
            raise ValueError("got an identity embedding; expected none, for this network was trained without")
        if self.config.patch_width is not None:
            sources.append(patches)
        elif patches is not None:
            raise ValueError("got patches of an image; expected none, for this network was trained without")
        return self._by_projection(self.id_resampler(sources))

    def base_rows(self, blurred: Tensor) -> Tensor:
        """Return each photo's own coefficients of the Base-LoRA, (N, P, 2, K), not yet of length 1."""
        if self.base_resampler is None:
            raise ValueError("got a photo for a Base-LoRA; expected none, for this network predicts none")
        return self._by_projection(self.base_resampler([blurred]))

    def identity_updates(self, coefficients: Coefficients) -> dict[str, LowRank]:
        """Return the ID-LoRA, as `Lora.updates`."""
        return self._updates(coefficients.identity, self.id_basis)

    def base_updates(self, coefficients: Coefficients) -> dict[str, LowRank]:
        """Return the Base-LoRA, as `Lora.updates`; nothing where none was predicted."""
        if coefficients.base is None or self.base_basis is None:
            return {}
        return self._updates(coefficients.base, self.base_basis)

    def num_lora_parameters(self, rank: int) -> int:
        """Return how many numbers a LoRA of `rank` has on all projections."""
        return sum(projection.num_parameters(rank) for projection in self.projections)

    @property
    def num_coefficients(self) -> int:
        """How many numbers a person's ID-LoRA is mixed by."""
        return 2 * len(self.projections) * self.config.num_basis

    def _updates(self, coefficients: Tensor, basis: nn.ModuleList) -> dict[str, LowRank]:
        if coefficients.shape != (len(self.projections), 2, self.config.num_basis):
            raise ValueError(
                f"got coefficients {tuple(coefficients.shape)}; expected "
                f"{(len(self.projections), 2, self.config.num_basis)}"
            )
        updates = {}
        for row, projection, mixed in zip(coefficients, self.projections, basis, strict=True):
            assert isinstance(mixed, LowRankBasis)
            down, up = mixed.mix(row[None].to(mixed.down.dtype))
            updates[projection.key] = LowRank(
                down=down[0].contiguous(), up=up[0].contiguous(), scale=self.config.scale
            )
        return updates

    def _by_projection(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(rows), len(self.projections), 2, -1)

    def _resampler(self, source_widths: Sequence[int]) -> Resampler:
        config = self.config
        return Resampler(
            num_queries=2 * len(self.projections),
            num_basis=config.num_basis,
            source_widths=source_widths,
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            head_width=config.head_width,
            widening=config.widening,
        )

    def _basis(self, rank: int) -> nn.ModuleList:
        return nn.ModuleList(
            LowRankBasis(projection, num_basis=self.config.num_basis, rank=rank)
            for projection in self.projections
        )


class IdentityProjector(nn.Module):
    """An identity embedding as a few tokens."""

    def __init__(self, embedding_width: int, token_width: int, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.linear = nn.Linear(embedding_width, num_tokens * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, E) to (N, tokens, W)."""
        tokens: Tensor = self.norm(self.linear(embedding).unflatten(1, (self.num_tokens, -1)))
        return tokens

"""The resampler: learned queries look at a photo, and each becomes the coefficients of one low-rank matrix.

A perceiver (Jaegle et al. 2021, arXiv:2103.03206) as HyperLoRA uses it (arXiv:2503.16944, figure 4): in each layer
the queries look at each other, then at the tokens of the identity embedding, then at the patches of the photo.

Shape letters: N photos, Q queries, L tokens, W width of the tokens, D width inside, K basis matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Resampler(nn.Module):
    """Tokens of a photo in, one vector of coefficients a query out; not yet of length 1.

    Args:
        num_queries: how many vectors to give.
        num_basis: how long each is.
        source_widths: the width of the tokens of each source, in the order in which a layer looks at them.
        width: of the queries.
        depth: how many layers.
        heads: of each attention.
        head_width: of each head.
        widening: how much wider the feed-forward layers are inside.
    """

    def __init__(
        self,
        *,
        num_queries: int,
        num_basis: int,
        source_widths: Sequence[int],
        width: int,
        depth: int,
        heads: int,
        head_width: int,
        widening: int,
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, num_queries, width) / width**0.5)
        self.inlets = nn.ModuleList(nn.Linear(source, width) for source in source_widths)
        self.layers = nn.ModuleList(
            ResamplerLayer(width, heads, head_width, widening, num_sources=len(source_widths))
            for _ in range(depth)
        )
        self.outlet = nn.Linear(width, num_basis)

    def forward(self, sources: Sequence[Tensor | None]) -> Tensor:
        """Return coefficients (N, Q, K).

        Args:
            sources: the tokens (N, L, W) of each source; None for one that is not looked at.

        Raises:
            ValueError: there are other sources than the resampler was made for, or none to look at.
        """
        given = [tokens for tokens in sources if tokens is not None]
        if len(sources) != len(self.inlets) or not given:
            raise ValueError(
                f"got {len(sources)} sources, {len(given)} of them with tokens; expected {len(self.inlets)}, "
                "at least one with tokens"
            )
        seen = [
            None if tokens is None else inlet(tokens)
            for inlet, tokens in zip(self.inlets, sources, strict=True)
        ]
        queries = self.queries.expand(len(given[0]), -1, -1)
        for layer in self.layers:
            queries = layer(queries, seen)
        coefficients: Tensor = self.outlet(queries)
        return coefficients


class ResamplerLayer(nn.Module):
    """The queries look at each other, then at each source; then each thinks for itself."""

    def __init__(self, width: int, heads: int, head_width: int, widening: int, *, num_sources: int) -> None:
        super().__init__()
        self.among_queries = Attention(width, heads, head_width)
        self.norm_among = nn.LayerNorm(width)
        self.at_sources = nn.ModuleList(Attention(width, heads, head_width) for _ in range(num_sources))
        self.norm_queries = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_sources))
        self.norm_sources = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_sources))
        self.norm_feed = nn.LayerNorm(width)
        self.widen = nn.Linear(width, widening * width)
        self.narrow = nn.Linear(widening * width, width)

    def forward(self, queries: Tensor, sources: Sequence[Tensor | None]) -> Tensor:
        """Map queries (N, Q, D) to the same shape; a source (N, L, D) that is None is passed over."""
        normed = self.norm_among(queries)
        queries = queries + self.among_queries(normed, normed)
        for attention, norm_queries, norm_source, tokens in zip(
            self.at_sources, self.norm_queries, self.norm_sources, sources, strict=True
        ):
            if tokens is not None:
                queries = queries + attention(norm_queries(queries), norm_source(tokens))
        widened = functional.gelu(self.widen(self.norm_feed(queries)))
        thought: Tensor = self.narrow(widened)
        return queries + thought


class Attention(nn.Module):
    """Attention of some tokens to others, without biases."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Return what `tokens` (N, Q, D) see in `seen` (N, L, D), as (N, Q, D)."""
        query, key, value = (
            layer(of).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, of in ((self.to_q, tokens), (self.to_k, seen), (self.to_v, seen))
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return output

"""FLUX.2 klein as a base: the published checkpoints of 4 billion weights, distilled or not."""

"""Z-Image and Z-Image-Turbo as a base: the published checkpoints of 6 billion weights."""

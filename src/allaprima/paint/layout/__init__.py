"""Layouts for a denoiser: the map of what stands where, on the lattice of the latent's cells."""

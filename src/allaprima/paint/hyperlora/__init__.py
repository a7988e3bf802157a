"""A network that predicts a person's LoRA from photos in one pass (HyperLoRA, Li et al. 2025, arXiv:2503.16944)."""

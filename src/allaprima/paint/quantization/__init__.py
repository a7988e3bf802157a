"""Quantised weights: how files keep them, how they become numbers again, and layers that compute with them."""

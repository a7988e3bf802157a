"""Qwen-Image and Qwen-Image-2512 as a base: the published checkpoints, read from a diffusers folder."""

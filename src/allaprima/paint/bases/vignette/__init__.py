"""Vignette, the small base that ships inside the package: a little Qwen-Image for illustrated scenes."""

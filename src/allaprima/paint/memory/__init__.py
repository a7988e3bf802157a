"""Painting within the memory that there is: what a picture needs, what can wait elsewhere, what is done in tiles."""
